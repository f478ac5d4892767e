// How the stage is looked at: the buttons over it, and the keys that do the same.

import { byId, setPressed } from "./dom.js";
import { attachKeys } from "./transport.js";

export function setTrails(stage, isVisible) {
  stage.setTrails(isVisible);
  setPressed(byId("trails"), isVisible);
}

export function setLook(stage, look) {
  stage.setLook(look);
  byId("look").value = stage.look;
}

export function attachView(app) {
  const { address, cast, player, stage } = app;
  const toggleTrails = () => {
    setTrails(stage, !stage.hasTrails);
    address.remember();
  };
  const recentre = () => {
    stage.setView({});
    address.remember();
  };
  const look = (name) => () => setLook(stage, name);
  byId("look").addEventListener("change", () => setLook(stage, byId("look").value));
  byId("trails").addEventListener("click", toggleTrails);
  byId("camera-reset").addEventListener("click", recentre);
  byId("layout").addEventListener("click", () => {
    stage.setLayout(stage.isSplit ? "together" : "split");
    cast.markLayout();
    address.remember();
  });
  byId("copy-link").addEventListener("click", () => address.copy());
  attachKeys(player, stage, {
    0: recentre,
    1: look("follow"),
    2: look("front"),
    3: look("side"),
    4: look("free"),
    t: toggleTrails,
    l: () => player.setLooping(!player.isLooping),
    "/": () => byId("sentence").focus(),
  });
}
