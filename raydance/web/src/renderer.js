// What draws the stage: three.js by WebGL, or where there is none, nothing, so that all else goes on.

import { WebGLRenderer } from "three";

/** Takes the calls that the stage makes of a renderer. */
class NoRenderer {
  setScissorTest() {}
  setPixelRatio() {}
  setSize() {}
  setViewport() {}
  setScissor() {}
  render(scene, camera) {
    camera.updateMatrixWorld(); // the labels are placed by it
  }
}

/** -> {renderer, canDraw, isSoftware: whether a processor plays the GPU}. */
export function rendererFor(canvas) {
  const isSoftware = isSoftwareDrawn();
  // Smooth edges cost four times the work, which a processor that plays the GPU cannot do.
  const options = { antialias: !isSoftware, powerPreference: "high-performance" };
  const context = canvas.getContext("webgl2", options); // asked for here, because three.js throws where there is none
  const renderer = context ? new WebGLRenderer({ canvas, context, ...options }) : new NoRenderer();
  return { renderer, canDraw: Boolean(context), isSoftware };
}

/** Whether WebGL is drawn by the processor, as on machines without a graphics driver. */
function isSoftwareDrawn() {
  const context = document.createElement("canvas").getContext("webgl2");
  const facts = context?.getExtension("WEBGL_debug_renderer_info");
  const name = facts ? context.getParameter(facts.UNMASKED_RENDERER_WEBGL) : "";
  context?.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software|basic render/i.test(name);
}
