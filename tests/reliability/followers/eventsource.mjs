// Follow the events with npm's eventsource: URL, and the folder in which it is installed.
import { createRequire } from "node:module";

const { EventSource } = createRequire(`${process.argv[3]}/`)("eventsource");
const source = new EventSource(`${process.argv[2]}/api/v1/events/stream?frames=message`);
source.onmessage = (message) => {
  const { event, data } = JSON.parse(message.data);
  if (event === data.type) console.log(message.lastEventId);
};
source.onerror = (error) => {
  if (source.readyState === EventSource.CLOSED) throw new Error(`it gave up: ${error.message}`);
};
