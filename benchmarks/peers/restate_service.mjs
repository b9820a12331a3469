// A service for Restate whose handler does nothing. Arguments: where its packages are, and its port.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The package asks for Node 22; Node 20 lacks only this.
Promise.withResolvers ??= function () {
  let resolve, reject;
  const promise = new this((one, other) => ([resolve, reject] = [one, other]));
  return { promise, resolve, reject };
};

const [, , packages, port] = process.argv;
const entry = createRequire(packages + "/package.json").resolve("@restatedev/restate-sdk");
const restate = await import(pathToFileURL(entry));
const bench = restate.service({
  name: "bench",
  handlers: { accept: async (_context, input) => input },
});
await restate.serve({ services: [bench], port: Number(port) });
