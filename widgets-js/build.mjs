/** Bundle each widget into one module and one style sheet in mljupyter/widgets/static, where Python reads them. */

import { readFile, rm, mkdir, copyFile } from "node:fs/promises";

import { analyzeMetafile, build } from "esbuild";

const OUT = "../mljupyter/widgets/static";

/**
 * Parts of uPlot that no chart here uses, and which esbuild cannot leave out by itself: time scales (the charts write
 * the times on their axes), the table below a chart (they have a list), points that are not sorted, and other shapes than
 * straight lines.
 */
const UNUSED = [
  [/^\s*(?:\(paths\.(?:stepped|bars|spline)|uPlot\.(?:join|addGap|clipGaps|fmtDate|tzDate))\s*=.*$/gm, ""],
  [/^const (?:FEAT_TIME|(?:days|months)3|localTz|\[ timeIncrs\w+,.*)\s*=.*$/gm, ""],
  [/^\tconst (?:_tzDate|_fmtDate|_timeAxisSplits|_timeAxisVals|_timeSeriesVal|showLegend)\s*=.*$/gm, ""],
  [/^const engNames = \{[^}]*\};/gm, ""],
  [/\blet isTime = [^;]*;/g, ""],
  [/\b(?:isTime|showLegend|FEAT_TIME|mode == 2)\b/g, "false"],
  [/\bmode == 1\b/g, "true"],
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
  entryPoints: ["wizard", "monitor", "comparison", "log"].map((name) => `src/${name}.ts`),
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
await copyFile("node_modules/uplot/LICENSE", `${OUT}/LICENSE.uplot.txt`);
if (process.argv.includes("--sizes")) {
  console.log(await analyzeMetafile(built.metafile));
}
