// Changes nodes into others without replacing what is alike.

/**
 * Makes `old` equal to `fresh`, and keeps its nodes where they are alike: a selection, the focus and
 * the place to which a box is scrolled survive. Returns the node that is in the page afterwards.
 */
export function morph(old, fresh) {
  // The styles in a formula can't be set as attributes, which the pages' policy refuses.
  const isOther = old.nodeName === "math" && !old.isEqualNode(fresh);
  if (old.nodeName !== fresh.nodeName || isOther) {
    old.replaceWith(fresh);
    return fresh;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    changeText(old, fresh.data);
    return old;
  }
  for (const { name, value } of fresh.attributes)
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes])
    if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  const wanted = [...fresh.childNodes];
  while (old.childNodes.length > wanted.length) old.lastChild.remove();
  wanted.forEach((child, index) => {
    const there = old.childNodes[index];
    if (there) morph(there, child);
    else old.append(child);
  });
  return old;
}

/** Replaces the part of a text that differs. A selection before it stays. */
function changeText(node, text) {
  const { data } = node;
  if (data === text) return;
  let same = 0;
  while (same < data.length && data[same] === text[same]) same += 1;
  node.replaceData(same, data.length - same, text.slice(same));
}
