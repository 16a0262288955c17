// Lets a script in the page's own world ask one in an isolated world of the same
// document: by events of a name that no page can guess, on the object
// performance, which both worlds have and whose listeners document.open() leaves
// alone. The result is undefined where such a script is there already.
(name) => {
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

  const { get, set, delete: remove } = Map.prototype;
  const waiting = new Map();
  let last = 0;
  const tell = (message) => say('question', stringify({ __proto__: null, ...message }));
  hear('answer', (event) => {
    const answer = parse(apply(detailOf, event, []));
    apply(get, waiting, [answer.id])?.(answer);
    apply(remove, waiting, [answer.id]);
  });
  // ask has an empty answer where nobody is there to ask.
  const ask = (kind, question) => new Promise((resolve) => {
    const id = ++last;
    apply(set, waiting, [id, resolve]);
    if (!tell({ kind, id, ...question })) resolve({});
  });
  // askNow is answered before it returns.
  const askNow = (kind, question) => {
    const id = ++last;
    let answer = {};
    apply(set, waiting, [id, (given) => { answer = given; }]);
    tell({ kind, id, ...question });
    apply(remove, waiting, [id]);
    return answer;
  };
  return { tell, ask, askNow, hear };
}
