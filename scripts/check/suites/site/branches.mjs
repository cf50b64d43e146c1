// Tests of branches in Node: the order in which the pages show a conversation's messages. The API
// follows the same rules (tests/endpoints/chats/branches.rs).

import assert from "node:assert/strict";
import { script } from "./lib/in-node.mjs";

const { Branches, START } = await script("chat/branches.js");

/** Branches with these messages: each has an id and, optionally, a parent. */
function known(chats, isWhole = true) {
  const branches = new Branches();
  for (const [id, after] of chats) branches.add({ id, after });
  branches.reach(isWhole);
  return branches;
}

/** The versions of a message: the messages with the same parent. */
const versions = (branches, id) => branches.following(branches.parent(id));

const MAIN = [["1"], ["2"], ["3"]];
const tests = {
  "messages without a parent form one line"() {
    const branches = known(MAIN);
    assert.deepEqual(branches.through(branches.newest()), ["1", "2", "3"]);
    assert.deepEqual(versions(branches, "2"), ["2"]);
  },

  "an edited message begins a branch beside the main line"() {
    const branches = known([...MAIN, ["4", "1"], ["5", "4"], ["6"]]);
    assert.deepEqual(branches.through("5"), ["1", "4", "5"]);
    assert.deepEqual(branches.through("2"), ["1", "2", "3", "6"]);
    assert.deepEqual(versions(branches, "4"), ["2", "4"]);
    assert.deepEqual(versions(branches, "6"), ["6"]);
  },

  "another beginning is a version of the first message"() {
    const branches = known([...MAIN, ["4", START], ["5", "4"]]);
    assert.deepEqual(branches.through("4"), ["4", "5"]);
    assert.deepEqual(versions(branches, "1"), ["1", "4"]);
    assert.equal(branches.parent("4"), START);
  },

  "a branch leads from a message to its newest descendant"() {
    const branches = known([...MAIN, ["4", "1"], ["5", "2"], ["6", "4"], ["7", "5"]]);
    assert.deepEqual(branches.through("1"), ["1", "2", "5", "7"]);
    assert.deepEqual(branches.through("4"), ["1", "4", "6"]);
  },

  "children of a deleted message follow its parent"() {
    const branches = known([...MAIN, ["4", "1"], ["5", "4"], ["6", "4"]]);
    branches.remove("4");
    assert.deepEqual(branches.through("5"), ["1", "5"]);
    assert.deepEqual(versions(branches, "6"), ["2", "5", "6"]);
    branches.remove("2");
    assert.deepEqual(branches.through("3"), ["1", "3"]);
    branches.remove("1");
    assert.deepEqual(branches.through("6"), ["6"]);
    assert.deepEqual(versions(branches, "6"), ["3", "5", "6"]);
  },

  "messages wait for their place until their parent is read"() {
    const branches = known([["8"], ["9"], ["91", "2"], ["92", "91"]], false);
    assert.equal(branches.parent("8"), null);
    assert.equal(branches.parent("91"), null);
    assert.deepEqual(branches.upTo("92"), ["91", "92"]);
    assert.deepEqual(versions(branches, "91"), []);
    // A deleted message's own parent is known only if all messages from that time are known.
    branches.add({ id: "93", after: "90" });
    assert.deepEqual(branches.upTo("93"), ["8", "9", "93"]);
    branches.add({ id: "2" });
    branches.reach(true);
    assert.deepEqual(branches.upTo("92"), ["2", "91", "92"]);
  },
};

for (const [name, test] of Object.entries(tests)) {
  test();
  console.log(`ok  ${name}`);
}
