// How the stage is looked at: the buttons over it, and the keys that do the same.

import { byId, setPressed } from "./dom.js";
import { attachKeys } from "./transport.js";

export const NO_WEBGL = "No dancer can be drawn here: this browser offers no WebGL 2 (see its settings for graphics acceleration). All the rest works without.";
const SHOWN = ["trails", "ghosts", "skeleton"];

/** What is shown of a dancer: `trails`, `ghosts` and whether it is a `skeleton`. */
export function setShown(stage, shown) {
  stage.setShown(shown);
  for (const name of SHOWN) setPressed(byId(name), stage.shown[name]);
}

export function setLook(stage, look) {
  stage.setLook(look);
  byId("look").value = stage.look;
}

/** What every viewer has: several views, a link, the keys. @param more keys of the viewer's own. */
export function attachCommon(app, more = {}) {
  const { address, cast, player, stage } = app;
  const help = byId("help-dialog");
  const showHelp = () => (help.open ? help.close() : help.showModal());
  byId("help").addEventListener("click", showHelp);
  byId("layout").addEventListener("click", () => {
    stage.setLayout(stage.isSplit ? "together" : "split");
    cast.markLayout();
    address.remember();
  });
  byId("copy-link").addEventListener("click", () => address.copy());
  attachKeys(player, stage, {
    "?": showHelp,
    l: () => player.setLooping(!player.isLooping),
    "/": () => byId("sentence").focus(),
    ...more,
  });
}

/** What a viewer of bodies has besides: the camera, ghosts, trails, bones. */
export function attachView(app) {
  const { address, stage } = app;
  const toggle = (name) => () => {
    setShown(stage, { [name]: !stage.shown[name] });
    address.remember();
  };
  const recentre = () => {
    stage.setView({});
    address.remember();
  };
  const look = (name) => () => setLook(stage, name);
  byId("look").addEventListener("change", () => setLook(stage, byId("look").value));
  for (const name of SHOWN) byId(name).addEventListener("click", toggle(name));
  byId("camera-reset").addEventListener("click", recentre);
  attachCommon(app, {
    0: recentre,
    1: look("follow"),
    2: look("front"),
    3: look("side"),
    4: look("free"),
    t: toggle("trails"),
    g: toggle("ghosts"),
    b: toggle("skeleton"),
  });
}
