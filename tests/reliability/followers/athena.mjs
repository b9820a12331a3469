// Follow the events with our TypeScript client: URL, and the folder of its build.
const { Athena } = await import(`${process.argv[3]}/index.js`);
for await (const event of new Athena({ baseUrl: process.argv[2] }).events()) console.log(event.id);
