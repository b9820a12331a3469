// Start runs with our TypeScript client: URL, the name of the mark, the first part of each mark, the client's folder.
const [url, name, prefix, folder] = process.argv.slice(2);
const { Athena } = await import(`${folder}/index.js`);
const client = new Athena({ baseUrl: url });
for (let number = 0; ; number++) {
  const mark = `${prefix}-${number}`;
  const spec = { metadata: { [name]: mark } };
  console.log(mark, number % 2 ? (await client.start(mark, spec)).id : (await client.run(mark, spec)).runId);
}
