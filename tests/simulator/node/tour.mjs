// A tour with Replicate's own client for JavaScript. Prints one JSON object with what it found.
import assert from "node:assert/strict";
import Replicate, { validateWebhook } from "replicate";

const [baseUrl, token, hookUrl, secret] = process.argv.slice(2);
const replicate = new Replicate({ auth: token, baseUrl });
const found = {};

async function step(name, walk) {
  try {
    found[name] = (await walk()) ?? true;
  } catch (error) {
    found[name] = `failed: ${error.stack}`;
  }
}

await step("run", async () => {
  const output = await replicate.run("sim/echo", { input: { prompt: "hello you" } });
  assert.equal(output.join(""), "hello you");
});

await step("run by version, polling", async () => {
  const model = await replicate.models.get("sim", "community");
  const seen = [];
  const output = await replicate.run(
    `sim/community:${model.latest_version.id}`,
    { input: { prompt: "hello" }, wait: { mode: "poll", interval: 20 } },
    (prediction) => seen.push(prediction.status),
  );
  assert.ok(output.join("").startsWith('You said: "hello"'));
  assert.equal(seen.at(-1), "succeeded");
});

await step("run a picture", async () => {
  const [url] = await replicate.run("sim/picture", { input: { prompt: "a heron" } });
  const reply = await fetch(url);
  assert.equal(reply.headers.get("content-type"), "image/webp");
});

await step("stream", async () => {
  let said = "";
  let last;
  for await (const { event, data } of replicate.stream("sim/echo", { input: { prompt: "one\n two" } })) {
    if (event === "output") said += data;
    last = event;
  }
  assert.equal(said, "one\n two");
  assert.equal(last, "done");
});

await step("a failed stream", async () => {
  await assert.rejects(async () => {
    for await (const _ of replicate.stream("sim/fails-midway", { input: { prompt: "x" } }));
  }, /broke down/);
});

await step("errors", async () => {
  await assert.rejects(replicate.run("sim/fails", { input: { prompt: "x" } }), /broke down/);
  await assert.rejects(replicate.run("sim/echo", { input: {} }), /422/);
  await assert.rejects(replicate.models.get("no", "such"), /404/);
});

await step("cancel", async () => {
  const prediction = await replicate.predictions.create({ model: "sim/never-ends", input: { prompt: "x" } });
  assert.equal((await replicate.predictions.cancel(prediction.id)).status, "canceled");
});

await step("wait", async () => {
  const prediction = await replicate.predictions.create({ model: "sim/slow", input: { prompt: "x" } });
  const ended = await replicate.wait(prediction, { interval: 20 });
  assert.equal(ended.metrics.output_token_count, 12);
});

await step("files", async () => {
  const file = await replicate.files.create(new Blob(["hello"], { type: "text/plain" }), { for: "me" });
  assert.deepEqual([file.size, file.metadata], [5, { for: "me" }]);
  assert.equal((await replicate.files.get(file.id)).id, file.id);
  await replicate.files.delete(file.id);
  const [url] = await replicate.run("sim/picture", { input: { prompt: "x", image: new Blob(["no picture"]) } });
  assert.ok(url);
});

await step("pagination", async () => {
  const names = new Set();
  for await (const page of replicate.paginate(replicate.models.list)) {
    for (const model of page) names.add(`${model.owner}/${model.name}`);
  }
  assert.ok(names.size > 40);
  const search = await replicate.models.search("flux");
  assert.ok(search.results[0].name.startsWith("flux"));
});

await step("deployments", async () => {
  const version = (await replicate.models.get("sim", "echo")).latest_version.id;
  await replicate.deployments.create({
    name: "js", model: "sim/echo", version, hardware: "gpu-t4", min_instances: 0, max_instances: 1,
  });
  const changed = await replicate.deployments.update("simulator", "js", { max_instances: 2 });
  assert.equal(changed.current_release.number, 2);
  const prediction = await replicate.deployments.predictions.create("simulator", "js", { input: { prompt: "hello" } });
  assert.equal((await replicate.wait(prediction, { interval: 20 })).output.join(""), "hello");
});

await step("trainings", async () => {
  await replicate.models.create("simulator", "js", { visibility: "private", hardware: "cpu" });
  const version = (await replicate.models.get("ostris", "flux-dev-lora-trainer")).latest_version.id;
  let training = await replicate.trainings.create("ostris", "flux-dev-lora-trainer", version, {
    destination: "simulator/js", input: { input_images: "https://a.example/x.zip" },
  });
  while (!["succeeded", "failed"].includes(training.status)) training = await replicate.trainings.get(training.id);
  assert.match(training.output.version, /^simulator\/js:/);
});

await step("account, hardware, collections", async () => {
  assert.equal((await replicate.accounts.current()).username, "simulator");
  assert.ok((await replicate.hardware.list()).length);
  const collections = await replicate.collections.list();
  assert.ok((await replicate.collections.get(collections.results[0].slug)).models.length);
});

await step("webhooks", async () => {
  const { key } = await replicate.webhooks.default.secret.get();
  assert.equal(key, secret);
  await replicate.predictions.create({
    model: "sim/echo", input: { prompt: "x" }, webhook: hookUrl, webhook_events_filter: ["completed"],
  });
  const hook = await (await fetch(hookUrl)).json();
  assert.ok(await validateWebhook({ ...hook, secret: key }));
});

console.log(JSON.stringify(found));
process.exit(0);
