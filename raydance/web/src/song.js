// A song that leads the player: what is shown follows the audio clock, and playing, pausing, seeking,
// looping and speed move the song along. The song stays in the browser: it plays from its own bytes.

const REST_S = 0.05; // so near its end it is over

export class Song {
  /**
   * @param player a Player.
   * @param audio an <audio> element.
   * @param tell (text) what the listener should know.
   */
  constructor(player, audio, tell) {
    Object.assign(this, { player, audio, tell });
    player.addEventListener("change", () => this.follow());
    player.addEventListener("seek", () => this.seek());
    audio.addEventListener("error", () => {
      if (!this.url) return;
      this.unload();
      this.tell("This browser cannot play that kind of audio file: the dance goes on without sound.");
    });
  }

  /** The file that plays from now on; none for silence. */
  load(file) {
    if (file === this.file) return;
    this.unload();
    if (!file) return;
    this.file = file;
    this.url = URL.createObjectURL(file);
    this.audio.src = this.url;
    this.player.leader = this;
  }

  unload() {
    if (!this.url) return;
    this.player.leader = undefined;
    this.audio.pause();
    this.audio.removeAttribute("src");
    URL.revokeObjectURL(this.url);
    this.file = this.url = undefined;
  }

  isOverAt(time_s) {
    return time_s >= this.audio.duration - REST_S; // false while the duration is not known
  }

  /** The player's next time: the song's, which stands still while it is loading; after its end as without. */
  timeAfter(time_s, elapsed_s) {
    if (this.isOverAt(time_s)) return time_s + elapsed_s;
    return this.audio.ended ? this.audio.duration : this.audio.currentTime;
  }

  seek() {
    if (!this.url) return;
    this.audio.currentTime = this.isOverAt(this.player.time_s) ? this.audio.duration : this.player.time_s;
    this.follow();
  }

  /** Plays or pauses, as fast, as the player does. */
  follow() {
    const { audio, player } = this;
    if (!this.url) return;
    audio.playbackRate = player.speed;
    if (!player.isPlaying) audio.pause();
    else if (audio.paused && !this.isOverAt(player.time_s)) {
      audio.play().catch((error) => {
        // Browsers keep pages silent that nobody has clicked yet.
        if (error.name === "NotAllowedError" && player.isPlaying) player.pause();
      });
    }
  }
}
