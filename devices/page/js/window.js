// Puts the scripts of the devices into a document, in the page's own world. talk
// reaches the isolated one.
(replace, talk, kit, scripts) => {
  if (!talk) return; // they are here already
  const { ask, hear } = talk;
  const { get } = Object.getOwnPropertyDescriptor(CustomEvent.prototype, 'detail');
  const { parse } = JSON;
  const devices = kit(replace, { ask, hear: (kind, listener) => hear(kind, (event) => listener(parse(Reflect.apply(get, event, [])))) });
  for (const script of scripts) script(devices);
}
