// A soft floor: a pool of light with a half-metre grid that fades into the paper.

import { CircleGeometry, Color, Mesh, ShaderMaterial, Vector2 } from "three";

const VERTEX = `
varying vec2 place;
void main() {
  place = (modelMatrix * vec4(position, 1.0)).xz;
  gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
}`;

const FRAGMENT = `
uniform vec3 paper;
uniform vec3 light;
uniform vec3 grid;
uniform float reach;
uniform vec2 middle;
varying vec2 place;
float lines(float step) {
  vec2 cell = (place + middle) / step;
  vec2 width = fwidth(cell);
  vec2 near = abs(fract(cell - 0.5) - 0.5) / max(width, vec2(1e-5));
  vec2 shown = (1.0 - min(near, 1.0)) * (1.0 - smoothstep(0.3, 0.9, width));
  return max(shown.x, shown.y);
}
void main() {
  float away = length(place) / reach;
  float pool = exp(-2.6 * away * away);
  vec3 colour = mix(paper, light, pool);
  float line = max(0.45 * lines(0.5), 0.8 * lines(2.0));
  colour = mix(colour, grid, line * exp(-3.2 * away * away));
  gl_FragColor = vec4(colour, 1.0);
  #include <colorspace_fragment>
}`;

export class Floor {
  constructor() {
    const geometry = new CircleGeometry(1, 64);
    geometry.rotateX(-Math.PI / 2);
    const colour = () => ({ value: new Color() });
    const material = new ShaderMaterial({
      vertexShader: VERTEX,
      fragmentShader: FRAGMENT,
      uniforms: { paper: colour(), light: colour(), grid: colour(), reach: { value: 4 }, middle: { value: new Vector2() } },
      depthWrite: false,
    });
    this.mesh = new Mesh(geometry, material);
    this.mesh.renderOrder = 0;
  }

  /** How far the pool of light reaches, metres. */
  setReach(reach) {
    this.mesh.material.uniforms.reach.value = reach;
    this.mesh.scale.set(2 * reach, 1, 2 * reach); // further out nothing is left of it
  }

  /** What lies under the camera, metres: the grid moves, the pool of light does not. */
  setMiddle(x, z) {
    this.mesh.material.uniforms.middle.value.set(x, z);
  }

  setColours(colours) {
    const { uniforms } = this.mesh.material;
    uniforms.paper.value.set(colours.paper);
    uniforms.light.value.set(colours.floor);
    uniforms.grid.value.set(colours.grid);
  }
}
