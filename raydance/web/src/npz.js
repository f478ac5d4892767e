// A motion as an `.npz` file, as raydance's reader takes it: positions [T, J, 3] in metres, joint
// names, parents and frame rate. A ZIP archive without compression of NumPy's `.npy` (version 1.0).

const CRC = new Uint32Array(256).map((_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

function checksum(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function npy(descr, shape, data) {
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  let header = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${tuple}, }`;
  header = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11) + "\n";
  const bytes = new Uint8Array(10 + header.length + data.byteLength);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 255, header.length >> 8]);
  bytes.set(new TextEncoder().encode(header), 10);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 10 + header.length);
  return bytes;
}

/** Strings as NumPy's fixed-width UTF-32. */
function names(strings) {
  const width = Math.max(1, ...strings.map((text) => text.length));
  const codes = new Uint32Array(strings.length * width);
  strings.forEach((text, i) => [...text].forEach((letter, k) => (codes[i * width + k] = letter.codePointAt(0))));
  return npy(`<U${width}`, [strings.length], codes);
}

function zip(files) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const [name, data] of files) {
    const label = new TextEncoder().encode(name);
    const common = new DataView(new ArrayBuffer(26));
    [20, 0, 0, 0, 0x21].forEach((value, i) => common.setUint16(2 * i, value, true));
    common.setUint32(10, checksum(data), true);
    common.setUint32(14, data.length, true);
    common.setUint32(18, data.length, true);
    common.setUint16(22, label.length, true);
    const entry = new DataView(new ArrayBuffer(14));
    entry.setUint32(10, offset, true);
    parts.push(Uint32Array.of(0x04034b50), common, label, data);
    directory.push(Uint32Array.of(0x02014b50), Uint16Array.of(20), common, entry, label);
    offset += 30 + label.length + data.length;
  }
  const size = directory.reduce((sum, part) => sum + part.byteLength, 0);
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true);
  end.setUint16(8, files.length, true);
  end.setUint16(10, files.length, true);
  end.setUint32(12, size, true);
  end.setUint32(16, offset, true);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/** A File that the service reads back as the very same motion. */
export function motionFile(motion, stem) {
  const files = [
    ["positions.npy", npy("<f4", [motion.num_frames, motion.num_joints, 3], motion.positions)],
    ["joint_names.npy", names(motion.joints)],
    ["parents.npy", npy("<i4", [motion.num_joints], Int32Array.from(motion.parents))],
    ["fps.npy", npy("<f8", [], Float64Array.of(motion.fps))],
  ];
  return new File([zip(files)], `${stem}.npz`);
}
