// How the stage is looked at: the buttons over it, and the keys that do the same.

import { byId, setPressed } from "./dom.js";
import { attachKeys } from "./transport.js";

export function setTrails(stage, isVisible) {
  stage.setTrails(isVisible);
  setPressed(byId("trails"), isVisible);
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
    t: toggleTrails,
    l: () => player.setLooping(!player.isLooping),
    "/": () => byId("sentence").focus(),
  });
}
