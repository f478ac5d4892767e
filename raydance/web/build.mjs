// Bundles src/ into dist/: index.html, and under assets/ one script and one style sheet whose names
// carry a hash of what they hold. The folder is made aside and renamed, so it is whole or not there.
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const part = join(here, `dist.part-${process.pid}`);
const dist = join(here, "dist");

try {
  const result = await build({
    absWorkingDir: here,
    entryPoints: { page: "src/main.js", style: "src/style.css" },
    outdir: join(part, "assets"),
    entryNames: "[name]-[hash]",
    bundle: true,
    minify: true,
    format: "esm",
    target: ["es2022", "chrome123", "firefox128", "safari17.5"],
    legalComments: "linked",
    metafile: true,
    logLevel: "warning",
  });
  const names = Object.keys(result.metafile.outputs).map((path) => basename(path));
  const named = (suffix) => names.find((name) => name.endsWith(suffix));
  let page = await readFile(join(here, "src/index.html"), "utf8");
  page = page.replace("assets/page.js", `assets/${named(".js")}`);
  page = page.replace("assets/style.css", `assets/${named(".css")}`);
  await mkdir(part, { recursive: true });
  await writeFile(join(part, "index.html"), page);
  await rm(dist, { recursive: true, force: true });
  await rename(part, dist);
} finally {
  await rm(part, { recursive: true, force: true });
}
