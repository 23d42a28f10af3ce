// Vercel's AI SDK through the gateway. Reads what to do as JSON from its arguments, writes what came of it as JSON.
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { embedMany, generateText, Output, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';

const { url, key, kind, model, prompt, task, options = {} } = JSON.parse(process.argv[2]);
const baseURL = `${url}/v1`;

const providers = {
  chat: () => createOpenAI({ baseURL, apiKey: key }).chat(model),
  responses: () => createOpenAI({ baseURL, apiKey: key }).responses(model),
  anthropic: () => createAnthropic({ baseURL, apiKey: key })(model),
  compatible: () =>
    createOpenAICompatible({ name: 'sluice', baseURL, apiKey: key, includeUsage: true, supportsStructuredOutputs: true })(model),
};

const tools = {
  get_weather: tool({
    description: 'The weather of a city.',
    inputSchema: z.object({ city: z.string().describe('Its name') }),
    execute: async ({ city }) => `sunny in ${city}`,
  }),
};
const trip = z.object({ city: z.string(), days: z.int().min(1) });

const call = () => ({ model: providers[kind](), prompt, maxRetries: 0, ...options });

const summary = async result => ({
  text: await result.text,
  reason: await result.finishReason,
  usage: await result.usage,
  steps: (await result.steps).length,
});

const read = async stream => {
  const errors = [];
  let deltas = 0;
  for await (const part of stream.fullStream) {
    if (part.type === 'error') errors.push(String(part.error));
    if (part.type === 'text-delta') deltas += 1;
  }
  return errors.length ? { errors } : { ...(await summary(stream)), deltas };
};

const tasks = {
  generate: async () => summary(await generateText({ ...call(), instructions: 'Be kind.' })),
  stream: async () => read(streamText(call())),
  tools: async () => summary(await generateText({ ...call(), tools, stopWhen: stepCountIs(3) })),
  streamedTools: async () => read(streamText({ ...call(), tools, stopWhen: stepCountIs(3) })),
  object: async () => (await generateText({ ...call(), output: Output.object({ schema: trip }) })).output,
  embed: async () => {
    const openai = createOpenAI({ baseURL, apiKey: key });
    return (await embedMany({ model: openai.embedding(model), values: ['a', 'b'] })).embeddings;
  },
  error: async () => {
    try {
      await generateText(call());
    } catch (error) {
      return { status: error.statusCode, message: error.message };
    }
  },
};

console.log(JSON.stringify(await tasks[task]()));
