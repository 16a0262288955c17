// Translates the URLs of custom schemes as schemes.go does. schemes maps each
// scheme to its privileges {standard, secure, fetch, cors}; suffix ends the hosts that stand
// for them.
(schemes, suffix) => {
  const escapes = { '-': '-h', '+': '-p', '.': '-d' };
  const unescapes = { '-h': '-', '-p': '+', '-d': '.' };
  const schemeName = (text) => /^\s*([a-z][a-z0-9+.-]*):/i.exec(text)?.[1].toLowerCase();

  // privileges are those of the URL's scheme, undefined for any that is not custom.
  const privileges = (text) => (Object.hasOwn(schemes, schemeName(text)) ? schemes[schemeName(text)] : undefined);

  // wire is the URL that stands for one of a custom scheme, undefined for others.
  const wire = (text) => {
    const scheme = privileges(text);
    if (!scheme) return undefined;
    const [, slashes, rest] = /^[^:]*:(\/\/)?(.*)$/s.exec(text.trim());
    const name = schemeName(text).replace(/[-+.]/g, (c) => escapes[c]);
    const protocol = scheme.secure ? 'https://' : 'http://';
    if (!slashes) {
      const [, opaque, fragment] = /^([^#]*)(.*)$/s.exec(rest);
      return `${protocol}${name}._${suffix}/${encodeURIComponent(opaque)}${fragment}`;
    }
    const [, authority, path] = /^([^/?#]*)(.*)$/s.exec(scheme.standard ? rest.replace(/^\/+/, '') : rest);
    const host = authority.replace(/^.*@/, '').replace(/:.*$/, '');
    return `${protocol}${host && host + '.'}${name}${suffix}${path.startsWith('/') ? '' : '/'}${path}`;
  };

  // custom is the URL that another stands for; any other comes back as it is.
  const custom = (url) => {
    const [, host, path] = /^https?:\/\/([^/?#]*)(.*)$/s.exec(url) ?? [];
    if (!host?.endsWith(suffix)) return url;
    const labels = host.slice(0, -suffix.length).split('.');
    const opaque = labels.at(-1) === '_';
    const scheme = labels.at(opaque ? -2 : -1).replace(/-[hpd]/g, (c) => unescapes[c]);
    return opaque ? `${scheme}:${decodeURIComponent(path.slice(1))}` : `${scheme}://${labels.slice(0, -1).join('.')}${path}`;
  };

  return { wire, custom, privileges };
}
