// A Replicate model in Vercel's AI SDK. Needs `npm install ai @ai-sdk/openai-compatible`.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { streamText } from "ai";

const repligate = createOpenAICompatible({
  name: "repligate",
  baseURL: process.env.OPENAI_BASE_URL,
  apiKey: process.env.OPENAI_API_KEY,
  includeUsage: true,
});

const answer = streamText({ model: repligate("llama-3-8b"), prompt: "What is a gateway?" });
for await (const text of answer.textStream) {
  process.stdout.write(text);
}
console.log(`\n${(await answer.usage).outputTokens} tokens`);
