// The shadow where a body is near the floor: each limb's spheres take light from the floor below
// them, by the closed form for a sphere over a plane (I. Quilez, "Sphere - ambient occlusion").

import { Color, Mesh, PlaneGeometry, ShaderMaterial, Vector4 } from "three";

const NUM_SPHERES = 40;
const MARGIN_M = 1.1;

const VERTEX = `
varying vec3 place;
void main() {
  vec4 world = vec4(position, 1.0);
  place = world.xyz;
  gl_Position = projectionMatrix * modelViewMatrix * world;
}`;

const FRAGMENT = `
uniform vec4 spheres[${NUM_SPHERES}];
uniform vec3 colour;
uniform float strength;
varying vec3 place;
void main() {
  float taken = 0.0;
  for (int i = 0; i < ${NUM_SPHERES}; i++) {
    vec3 way = spheres[i].xyz - place;
    float squared = max(dot(way, way), spheres[i].w * spheres[i].w);
    taken += max(way.y, 0.0) * inversesqrt(squared) * spheres[i].w * spheres[i].w / squared;
  }
  gl_FragColor = vec4(colour, strength * (1.0 - exp(-1.1 * taken)));
  #include <colorspace_fragment>
}`;

export class ContactShadow {
  constructor(motion, limbs) {
    // Fingers cast next to nothing; two spheres for each of the thickest limbs are enough.
    const thick = limbs.filter((limb) => !limb.beyond && limb.radii[1] > 0.02).slice(0, NUM_SPHERES / 2);
    this.thick = thick;
    this.spheres = Array.from({ length: NUM_SPHERES }, () => new Vector4(0, -9, 0, 0));
    const { low, high } = motion.bounds;
    const geometry = new PlaneGeometry(high[0] - low[0] + 2 * MARGIN_M, high[2] - low[2] + 2 * MARGIN_M);
    geometry.rotateX(-Math.PI / 2);
    geometry.translate((low[0] + high[0]) / 2, 0.002, (low[2] + high[2]) / 2);
    const material = new ShaderMaterial({
      vertexShader: VERTEX,
      fragmentShader: FRAGMENT,
      uniforms: { spheres: { value: this.spheres }, colour: { value: new Color() }, strength: { value: 0.5 } },
      transparent: true,
      depthWrite: false,
    });
    this.mesh = new Mesh(geometry, material);
    this.mesh.renderOrder = 1;
  }

  setColours(colours) {
    this.mesh.material.uniforms.colour.value.set(colours.shadow);
    this.mesh.material.uniforms.strength.value = colours.shadowStrength;
  }

  moveTo(pose) {
    this.thick.forEach(({ from, to, radii }, i) => {
      for (const [half, share] of [[0, 0.5], [1, 1]]) {
        const place = (axis) => pose[from * 3 + axis] * (1 - share) + pose[to * 3 + axis] * share;
        this.spheres[2 * i + half].set(place(0), place(1), place(2), radii[1]);
      }
    });
  }

  dispose() {
    this.mesh.geometry.dispose();
    this.mesh.material.dispose();
  }
}
