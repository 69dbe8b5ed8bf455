// Every endpoint once, through OpenAI's Node client; prints what came of each as one JSON object.
import OpenAI, { toFile } from "openai";

const openai = new OpenAI({ maxRetries: 0 });
const told = {};
const say = [{ role: "user", content: "Hello!" }];

told.chat = (await openai.chat.completions.create({ model: "llama-3-8b", messages: say })).choices[0].message.content;
told.chatStream = "";
for await (const chunk of await openai.chat.completions.create({ model: "llama-3-8b", messages: say, stream: true })) {
  told.chatStream += chunk.choices[0]?.delta?.content ?? "";
}
told.completion = (await openai.completions.create({ model: "llama-3-8b", prompt: "Once upon" })).choices[0].text;
told.response = (await openai.responses.create({ model: "llama-3-8b", input: "Hello!" })).output_text;
told.responseEvents = [];
for await (const event of await openai.responses.create({ model: "llama-3-8b", input: "Hello!", stream: true })) {
  if (told.responseEvents.at(-1) !== event.type) told.responseEvents.push(event.type);
}

const drawn = await openai.images.generate({ model: "flux-schnell", prompt: "a barn", response_format: "b64_json" });
const barn = Buffer.from(drawn.data[0].b64_json, "base64");
told.drawn = barn.length > 100;
const types = async (stream) => {
  const seen = [];
  for await (const event of stream) if (seen.at(-1) !== event.type) seen.push(event.type);
  return seen.join(" ");
};
told.drawnStream = await types(
  await openai.images.generate({ model: "flux-schnell", prompt: "a barn", stream: true }),
);
const kontext = "black-forest-labs/flux-kontext-pro";
const given = () => toFile(barn, "barn.webp", { type: "image/webp" });
told.edited = (await openai.images.edit({ model: kontext, prompt: "blue", image: await given() })).data[0].url;
told.editedStream = await types(
  await openai.images.edit({ model: kontext, prompt: "blue", image: await given(), stream: true }),
);
told.varied = (await openai.images.createVariation({ model: "stability-ai/sdxl", image: await given() })).data[0].url;

const spoken = await openai.audio.speech.create({ model: "jaaari/kokoro-82m", voice: "alloy", input: "Good morning" });
const sound = Buffer.from(await spoken.arrayBuffer());
const voiced = await openai.audio.speech.create({
  model: "jaaari/kokoro-82m", voice: "alloy", input: "Good morning", stream_format: "sse",
});
told.spokenStream = [...(await voiced.text()).matchAll(/^event: (.*)$/gm)].map(([, type]) => type).join(" ");
const heard = () => toFile(sound, "morning.wav", { type: "audio/wav" });
told.heard = (await openai.audio.transcriptions.create({ model: "openai/whisper", file: await heard() })).text;
told.heardStream = await types(
  await openai.audio.transcriptions.create({ model: "openai/whisper", file: await heard(), stream: true }),
);
told.translated = (await openai.audio.translations.create({ model: "openai/whisper", file: await heard() })).text;

told.vector = (await openai.embeddings.create({ model: "multilingual-e5", input: "a heron" })).data[0].embedding.length;
told.flagged = (await openai.moderations.create({ model: "llama-guard", input: "How do I bake bread?" })).results[0].flagged;

const file = await openai.files.create({ file: await given(), purpose: "vision" });
told.files = [];
for await (const each of openai.files.list()) told.files.push(each.id === file.id);
told.content = (await (await openai.files.content(file.id)).arrayBuffer()).byteLength === barn.length;
told.deleted = (await openai.files.delete(file.id)).deleted;

let video = await openai.videos.create({ model: "google/veo-3-fast", prompt: "a heron" });
while (["queued", "in_progress"].includes(video.status)) {
  await new Promise((done) => setTimeout(done, 100));
  video = await openai.videos.retrieve(video.id);
}
told.video = (await (await openai.videos.downloadContent(video.id)).arrayBuffer()).byteLength > 100;

told.models = (await openai.models.list()).data.length;
told.model = (await openai.models.retrieve("llama-3-8b")).id;
console.log(JSON.stringify(told));
