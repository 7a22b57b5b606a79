/** Bundle each widget into one module and one style sheet in mljupyter/widgets/static, where Python reads them. */

import { readFile, readdir, rm, mkdir, copyFile, writeFile } from "node:fs/promises";

import { analyzeMetafile, build } from "esbuild";
import { minify } from "terser";

const OUT = "../mljupyter/widgets/static";

/**
 * Parts of uPlot that no chart here uses, and which a bundler cannot leave out by itself: time scales (the charts write
 * the times on their axes), the table below a chart (they have a list), points that are not sorted, other shapes than
 * straight lines, scales other than linear ones, bands between lines, and the emphasis of the line at the cursor.
 */
const UNUSED = [
  [/^\s*(?:\(paths\.(?:stepped|bars|spline)|uPlot\.(?:join|addGap|clipGaps|fmtDate|tzDate))\s*=.*$/gm, ""],
  [/^const (?:FEAT_TIME|(?:days|months)3|localTz|\[ timeIncrs\w+,.*)\s*=.*$/gm, ""],
  [/^\tconst (?:_tzDate|_fmtDate|_timeAxisSplits|_timeAxisVals|_timeSeriesVal|showLegend)\s*=.*$/gm, ""],
  [/^const engNames = \{[^}]*\};/gm, ""],
  [/\blet isTime = [^;]*;/g, ""],
  [/\b(?:isTime|showLegend|FEAT_TIME|mode == 2)\b/g, "false"],
  [/\bmode == 1\b/g, "true"],
  [/\b(?:\w+\.distr|distr|scaleDistr|xScaleDistr)\s*(?:==\s*(?:2|3|4|100)|>=\s*3)(?!\d)/g, "false"],
  [/\b\w+\.distr\s*(?:!=\s*2|==\s*1)(?!\d)/g, "true"],
  [/\bbandFillClipDirs\(u, seriesIdx\)/g, "[0, 0]"],
  [/\bband(?:Fill|Clip)Dir\s*!= 0/g, "false"],
  [/^\t\tflags != 0 && bands\.forEach\(/gm, "\t\tfalse && bands.forEach("],
  [/\b(?:cursorFocus|shouldAlpha|withProx)\b(?! =)/g, "false"],
];

const smallerUplot = {
  name: "smaller uPlot",
  setup({ onLoad }) {
    onLoad({ filter: /uPlot\.esm\.js$/ }, async ({ path }) => {
      let contents = await readFile(path, "utf8");
      for (const [part, replacement] of UNUSED) {
        if (contents.match(part) === null) {
          throw new Error(`uPlot has changed: nothing in it matches ${part}`);
        }
        contents = contents.replace(part, replacement);
      }
      return { contents };
    });
  },
};

await rm(OUT, { recursive: true, force: true });
await mkdir(OUT, { recursive: true });
const built = await build({
  entryPoints: ["wizard", "monitor", "comparison", "log", "history"].map((name) => `src/${name}.ts`),
  outdir: OUT,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "none",
  plugins: [smallerUplot],
  metafile: true,
  logLevel: "warning",
});
for (const name of (await readdir(OUT)).filter((file) => file.endsWith(".js"))) {
  // esbuild keeps functions that nothing calls once the parts above are gone.
  const small = await minify(await readFile(`${OUT}/${name}`, "utf8"), {
    module: true,
    ecma: 2022,
    compress: { passes: 3, keep_fargs: false, pure_getters: true, unsafe_arrows: true },
  });
  await writeFile(`${OUT}/${name}`, small.code);
}
await copyFile("node_modules/uplot/LICENSE", `${OUT}/LICENSE.uplot.txt`);
if (process.argv.includes("--sizes")) {
  console.log(await analyzeMetafile(built.metafile));
}
