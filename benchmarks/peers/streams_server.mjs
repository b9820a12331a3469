// A Durable Streams server that keeps its streams in files. Arguments: where its package is, its port, its directory.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [, , packages, port, dataDir] = process.argv;
const entry = createRequire(packages + "/package.json").resolve("@durable-streams/server");
const { DurableStreamTestServer } = await import(pathToFileURL(entry));
await new DurableStreamTestServer({ port: Number(port), host: "127.0.0.1", dataDir }).start();
