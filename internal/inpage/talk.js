// Lets a script in the page's own world ask one in an isolated world of the same
// document: by events of a name that no page can guess, on the object
// performance, which both worlds have and whose listeners document.open() leaves
// alone. The result is undefined where such a script is there already.
({ collection, promised }, name) => {
  const target = performance;
  const { apply } = Reflect;
  const { parse, stringify } = JSON;
  const { addEventListener, dispatchEvent } = EventTarget.prototype;
  const { get: detailOf } = Object.getOwnPropertyDescriptor(CustomEvent.prototype, 'detail');
  const { preventDefault, stopImmediatePropagation } = Event.prototype;
  const Message = CustomEvent;

  // say is true when somebody has heard it.
  const say = (kind, detail) => !apply(dispatchEvent, target, [new Message(`${name}-${kind}`, { __proto__: null, detail, cancelable: true })]);
  const hear = (kind, listener) =>
    apply(addEventListener, target, [`${name}-${kind}`, (event) => {
      apply(stopImmediatePropagation, event, []);
      apply(preventDefault, event, []);
      listener(event);
    }]);
  if (say('present')) return undefined;
  hear('present', () => {});

  const waiting = collection('Map');
  let last = 0;
  const tell = (message) => say('question', stringify({ __proto__: null, ...message }));
  hear('answer', (event) => {
    // What has a prototype could be given a method then by the page.
    const answer = { __proto__: null, ...parse(apply(detailOf, event, [])) };
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });
  // ask has an empty answer where nobody is there to ask.
  const ask = (kind, question) => promised((resolve) => {
    const id = ++last;
    waiting.set(id, resolve);
    if (tell({ kind, id, ...question })) return;
    waiting.delete(id);
    resolve({ __proto__: null });
  });
  // askNow is answered before it returns.
  const askNow = (kind, question) => {
    const id = ++last;
    let answer = { __proto__: null };
    waiting.set(id, (given) => { answer = given; });
    tell({ kind, id, ...question });
    waiting.delete(id);
    return answer;
  };
  return { tell, ask, askNow, hear };
}
