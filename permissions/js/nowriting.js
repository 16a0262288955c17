// Refuses what takes writing to a file of the user's, where Chromium would wait
// for ever for somebody to allow it.
(replace, own, files) => {
  const refusal = (name, message) => () => { throw new DOMException(message, name); };
  files(replace, own, {
    ask: async () => ({}),
    whenGranted: (question, native, refused) => question.fileAccessType === 'writable' ? refused() : native(),
    refusal,
  });
}
