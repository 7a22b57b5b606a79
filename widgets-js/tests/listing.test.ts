import { describe, expect, it } from "vitest";

import type { IEndpoint, IModel } from "../../labextension/src/documents";
import { readableSize } from "../../labextension/src/format";
import {
  endingCertificates,
  endpointCell,
  eventsOf,
  isOnlyOnServer,
  linePoints,
  looksLikeModel,
  matching,
  modelCell,
  pauseAfter,
  pauseOfPolls,
  placeOf,
  shortName,
  updated,
  usersOf,
  worstState,
} from "../../labextension/src/listing";

/** An endpoint as the server lists it. */
function endpoint(name: string, parts: Partial<IEndpoint> = {}): IEndpoint {
  return {
    name,
    kind: "ACI",
    target: "local",
    state: "Healthy",
    problem: null,
    uri: "",
    authentication: "none",
    rollout: false,
    ready: 1,
    wanted: 1,
    generation: 1,
    updated: 0,
    certificate: null,
    versions: [],
    ...parts,
  };
}

describe("the list of endpoints in the side panel", () => {
  const iris = endpoint("iris");
  const before = new Map([["iris", iris]]);

  it("has what the server tells at first, and nothing else", () => {
    const message = { is: "endpoints" as const, workspace: "w", whole: true, rows: [endpoint("wine")] };
    expect([...updated(before, message).keys()]).toEqual(["wine"]);
  });

  it("keeps the others when one has changed or was deleted", () => {
    const changed = endpoint("wine", { state: "Failed" });
    const message = { is: "endpoints" as const, workspace: "w", whole: false, rows: [changed], removed: ["iris"] };
    const rows = updated(new Map([...before, ["wine", endpoint("wine")], ["old", endpoint("old")]]), message);
    expect([...rows.keys()]).toEqual(["wine", "old"]);
    expect(rows.get("wine")?.state).toBe("Failed");
  });

  it("keeps what a server that was just started, or that cannot ask a target, does not know yet", () => {
    const cluster = endpoint("far", { target: "cluster" });
    const known = new Map([...before, ["far", cluster]]);
    const message = { is: "endpoints" as const, workspace: "w", whole: true, rows: [] };
    expect([...updated(known, { ...message, known: false }).keys()]).toEqual([...known.keys()]);
    const problems = [{ target: "cluster", message: "is away", read: false, asOf: null }];
    expect([...updated(known, { ...message, known: true, problems }).keys()]).toEqual(["far"]);
    expect(updated(known, { ...message, known: true }).size).toBe(0);
    expect(updated(known, { ...message, known: false, gone: true }).size).toBe(0);
  });

  it("is asked for less often while nothing changes, where there is no connection", () => {
    expect([0, 1, 2, 3, 9].map(pauseOfPolls)).toEqual([5, 10, 20, 30, 30]);
  });

  it("is sorted, and searched by name, state, target, version and model, with all words", () => {
    const version = { name: "blue", models: ["ridge:3"] } as unknown as IEndpoint["versions"][number];
    const rows = [endpoint("b"), endpoint("a", { versions: [version] }), endpoint("c", { state: "Failed" })];
    const names = (search: string) => matching(rows, search).map(({ name }) => name);
    expect(names("")).toEqual(["a", "b", "c"]);
    expect(names("FAIL")).toEqual(["c"]);
    expect(names("ridge local")).toEqual(["a"]);
    expect(names("ridge docker")).toEqual([]);
  });

  it("says which endpoints use a version of a model", () => {
    const version = { name: "blue", models: ["ridge:3"] } as unknown as IEndpoint["versions"][number];
    const rows = [endpoint("b", { versions: [version] }), endpoint("c"), endpoint("a", { versions: [version] })];
    expect(usersOf(rows, { name: "ridge", version: 3 } as IModel)).toEqual(["a", "b"]);
    expect(usersOf(rows, { name: "ridge", version: 4 } as IModel)).toEqual([]);
  });

  it("tells the worst state, and takes one that it does not know for the worst", () => {
    expect(worstState([])).toBe("");
    expect(worstState([iris])).toBe("Healthy");
    expect(worstState([iris, endpoint("x", { state: "Transitioning" })])).toBe("Transitioning");
    expect(worstState([endpoint("x", { state: "Unhealthy" }), iris, endpoint("y", { state: "Failed" })])).toBe(
      "Failed",
    );
    expect(worstState([iris, endpoint("x", { state: "Odd" })])).toBe("Failed");
  });
});

describe("a connection that is lost", () => {
  it("is tried again after pauses that double, of half a minute at most", () => {
    expect([1, 2, 3, 4, 5, 6, 50].map(pauseAfter)).toEqual([1, 2, 4, 8, 16, 30, 30]);
  });
});

describe("a size for people", () => {
  it("has a unit and at most three digits", () => {
    expect([0, 577, 1000, 123_456, 5_300_000].map(readableSize)).toEqual([
      "0 bytes",
      "577 bytes",
      "1.0 kB",
      "123 kB",
      "5.3 MB",
    ]);
  });
});

describe("what happens to an endpoint", () => {
  const told = (before: Partial<IEndpoint>, after: Partial<IEndpoint>) =>
    eventsOf(new Map([["iris", endpoint("iris", before)]]), new Map([["iris", endpoint("iris", after)]]));

  it("is told once, when its state has changed", () => {
    const problem = { code: "CrashLoop", message: "init() failed" };
    expect(told({ state: "Transitioning" }, {})).toEqual([{ kind: "deployed", name: "iris", reason: "" }]);
    expect(told({ state: "Transitioning" }, { state: "Failed", problem })).toEqual([
      { kind: "failed", name: "iris", reason: "init() failed" },
    ]);
    expect(told({}, { state: "Unhealthy" }).map(({ kind }) => kind)).toEqual(["unhealthy"]);
    expect(told({ state: "Unhealthy" }, {})).toEqual([]);
    expect(told({ state: "Failed", problem }, { state: "Failed", problem })).toEqual([]);
  });

  it("is told when a rollout has ended, with the shares", () => {
    const versions = [
      { name: "blue", share: 100 },
      { name: "green", share: 0 },
    ] as unknown as IEndpoint["versions"];
    expect(told({ rollout: true, versions }, { versions })).toEqual([
      { kind: "rollout", name: "iris", reason: "blue 100 %, green 0 %" },
    ]);
  });

  it("is not told of endpoints that are new, or gone", () => {
    const rows = new Map([["iris", endpoint("iris", { state: "Failed" })]]);
    expect(eventsOf(new Map(), rows)).toEqual([]);
    expect(eventsOf(rows, new Map())).toEqual([]);
  });
});

describe("the file browser", () => {
  it("offers to register files of models and directories", () => {
    const names = ["a.pkl", "b.ONNX", "c.py", "d.csv"];
    expect(names.filter((name) => looksLikeModel(name, false))).toEqual(["a.pkl", "b.ONNX"]);
    expect(looksLikeModel("saved", true)).toBe(true);
  });
});

describe("a scoring URI", () => {
  it("leads to the machine of the server alone if it is of its own address, and the page is elsewhere", () => {
    for (const host of ["localhost", "127.0.0.1", "127.0.1.1", "[::1]"]) {
      const uri = `http://${host}:6789/score`;
      expect(isOnlyOnServer(uri, "hub.example")).toBe(true);
      expect(isOnlyOnServer(uri, "localhost")).toBe(false);
    }
    expect(isOnlyOnServer("https://scoring.example/score", "hub.example")).toBe(false);
    expect(isOnlyOnServer("http://localhost.example/score", "hub.example")).toBe(false);
    expect(isOnlyOnServer("", "hub.example")).toBe(false);
  });
});

describe("a small chart", () => {
  it("has one point for each value, and the highest touches the top", () => {
    expect(linePoints([0, 5, 10], 60, 14)).toBe("0,14 30,7 60,0");
    expect(linePoints([0, 0], 60, 14)).toBe("0,14 60,14");
    expect(linePoints([], 60, 14)).toBe("");
  });
});

describe("a cell that was dragged", () => {
  it("has the name and the version in it", () => {
    expect(endpointCell("iris")).toContain('webservices["iris"]');
    expect(modelCell("ridge", 3)).toContain('id="ridge:3"');
  });
});

describe("certificates that end soon", () => {
  const ending = (message: string) => ({ ends: 1, problem: { code: "CertificateExpires", message } });

  it("are told once, and once for all endpoints that share one", () => {
    const told = new Set<string>();
    const rows = [
      endpoint("wine", { certificate: ending("ends on Monday") }),
      endpoint("iris", { certificate: ending("ends on Monday") }),
      endpoint("churn", { certificate: { ends: 9, problem: null } }),
      endpoint("plain"),
    ];
    expect(endingCertificates(rows, told)).toEqual([{ kind: "certificate", name: "iris", reason: "ends on Monday" }]);
    expect(endingCertificates(rows, told)).toEqual([]);
    const ended = [endpoint("iris", { certificate: ending("ended on Monday") })];
    expect(endingCertificates(ended, told)).toEqual([{ kind: "certificate", name: "iris", reason: "ended on Monday" }]);
  });
});

describe("the name of a notebook on a button", () => {
  it("is at most forty characters, with its beginning and its end", () => {
    expect(shortName("iris.ipynb")).toBe("iris.ipynb");
    expect(shortName(`${"x".repeat(60)}-last.ipynb`)).toMatch(/^x+…x*-last\.ipynb$/);
    expect(shortName("x".repeat(60))).toHaveLength(40);
  });
});

describe("the place of an image", () => {
  it.each([
    ["docker", "docker"],
    ["docker/tcp://10.0.0.2:2376", "docker at tcp://10.0.0.2:2376"],
    ["registry/127.0.0.1:5000", "127.0.0.1:5000"],
  ])("%s is %s for people", (target, place) => {
    expect(placeOf(target)).toBe(place);
  });
});
