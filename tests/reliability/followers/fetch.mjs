// Follow the events with fetch and a reader.
let last = "0";
for (;;) {
  try {
    const headers = { "last-event-id": last };
    const response = await fetch(`${process.argv[2]}/api/v1/events/stream?frames=message`, { headers });
    if (!response.ok) throw new Error(`status ${response.status}`);
    let rest = "";
    for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
      const blocks = (rest + text).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const line = block.split("\n").find((one) => one.startsWith("data: "));
        const { event, data } = JSON.parse(line.slice("data: ".length));
        last = data.id ?? data.cursor;
        if (event === data.type) console.log(last);
      }
    }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // a TypeError: the connection was refused or lost
  }
  await new Promise((resolve) => setTimeout(resolve, 100));
}
