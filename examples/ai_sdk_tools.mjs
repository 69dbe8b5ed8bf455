// Tools, structured answers and streamed messages for a page, in the AI SDK. Needs `npm install ai @ai-sdk/openai-compatible`.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";

const repligate = createOpenAICompatible({
  name: "repligate",
  baseURL: process.env.OPENAI_BASE_URL,
  apiKey: process.env.OPENAI_API_KEY,
  supportsStructuredOutputs: true,
  includeUsage: true,
});
const model = repligate("llama-3-70b");
const object = (properties) =>
  jsonSchema({ type: "object", properties, required: Object.keys(properties), additionalProperties: false });

const tools = {
  get_weather: tool({
    description: "The weather in a city",
    inputSchema: object({ city: { type: "string" } }),
    execute: async ({ city }) => `It is 21 degrees in ${city}.`,
  }),
};
const asked = { model, tools, prompt: "What is the weather in Paris?", stopWhen: stepCountIs(4) };

console.log((await generateText(asked)).text);

const person = object({ name: { type: "string" }, age: { type: "integer" } });
const { output } = await generateText({
  model,
  prompt: "My name is Ada and my age is 36.",
  output: Output.object({ schema: person }),
});
console.log(output.name, output.age);

const kinds = new Set();
for await (const part of streamText(asked).toUIMessageStream()) kinds.add(part.type);
console.log([...kinds].join(" "));
