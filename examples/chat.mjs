// Ask a model a question, then stream an answer, with OpenAI's own Node client. Needs `npm install openai`.
import OpenAI from "openai";

const client = new OpenAI(); // reads OPENAI_BASE_URL and OPENAI_API_KEY

const answer = await client.chat.completions.create({
  model: "claude-4-sonnet",
  messages: [{ role: "user", content: "What is a gateway?" }],
});
console.log(answer.choices[0].message.content);

const chunks = await client.chat.completions.create({
  model: "llama-3-8b",
  messages: [{ role: "user", content: "Write a haiku about gateways." }],
  stream: true,
});
for await (const chunk of chunks) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? "");
}
console.log();
