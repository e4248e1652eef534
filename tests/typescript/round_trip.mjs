// One round trip through the official client: node round_trip.mjs BASE_URL
import assert from 'node:assert/strict';
import Letta from '@letta-ai/letta-client';

const client = new Letta({ baseURL: process.argv[2], maxRetries: 0 });

const agent = await client.agents.create({
  name: 'typescript',
  model: 'greenroom/scripted',
  memory_blocks: [{ label: 'human', value: "The human's name is Bob." }],
});
assert.match(agent.id, /^agent-/);
assert.equal(agent.blocks[0].value, "The human's name is Bob.");

const told = await client.agents.messages.create(agent.id, {
  messages: [{ role: 'user', content: 'My name is Alice.' }],
});
assert.deepEqual(
  told.messages.map((message) => message.message_type),
  ['tool_call_message', 'tool_return_message', 'assistant_message'],
);
assert.equal(told.stop_reason.stop_reason, 'end_turn');
assert.equal(told.usage.step_count, 2);

const question = [{ role: 'user', content: 'What is my name?' }];
const whole = await gather(
  await client.agents.messages.create(agent.id, { messages: question, streaming: true }),
);
assert.deepEqual(whole.text, ['Your name is Alice.']);
const pieces = await gather(
  await client.agents.messages.stream(agent.id, { messages: question, stream_tokens: true }),
);
assert.ok(pieces.text.length > 1, 'token by token');
assert.equal(pieces.text.join(''), 'Your name is Alice.');
for (const { types } of [whole, pieces]) {
  assert.deepEqual(types.slice(-2), ['stop_reason', 'usage_statistics']);
}

const history = [];
for await (const message of client.agents.messages.list(agent.id, { order: 'asc', limit: 2 })) {
  history.push(message.message_type);
}
assert.equal(history[0], 'system_message');
assert.equal(history.filter((type) => type === 'user_message').length, 3);
assert.equal(history.filter((type) => type === 'assistant_message').length, 3);

const block = await client.agents.blocks.retrieve('human', { agent_id: agent.id });
assert.match(block.value, /Alice/);

await client.agents.delete(agent.id);
await assert.rejects(client.agents.retrieve(agent.id), Letta.NotFoundError);

async function gather(stream) {
  const types = [];
  const text = [];
  for await (const event of stream) {
    types.push(event.message_type);
    if (event.message_type === 'assistant_message') text.push(event.content);
  }
  return { types, text };
}
