// Lets the program say what getDisplayMedia gives. It runs in the page's own world, before its
// scripts, in every frame, and is no wall: Chromium itself refuses what goes round it.
({ awaitable }, talk) => {
  if (!talk) return; // it is here already
  const { tell, ask } = talk;
  const { apply } = Reflect;
  const { getUserMedia, getDisplayMedia } = MediaDevices.prototype;
  const { applyConstraints, stop } = MediaStreamTrack.prototype;
  const { addTrack, getVideoTracks, getAudioTracks, getTracks } = MediaStream.prototype;
  const Exception = DOMException;

  const from = (id) => ({ __proto__: null, mandatory: { __proto__: null, chromeMediaSource: 'tab', chromeMediaSourceId: id } });
  const capture = async (devices, kind, constraints) => {
    try {
      return await awaitable(apply(getUserMedia, devices, [{ __proto__: null, ...constraints }]));
    } catch {
      throw new Exception(`Could not start ${kind} source`, 'NotReadableError');
    }
  };
  const end = (stream) => {
    for (const track of apply(getTracks, stream, [])) apply(stop, track, []);
  };
  // captured is the stream of an answer, whose audio can be that of another page.
  const captured = async (devices, { video, audio }, wanted) => {
    const together = audio === video; // an id is for one use
    const stream = await awaitable(capture(devices, 'video', together ? { video: from(video), audio: from(video) } : { video: from(video) }));
    try {
      if (typeof wanted === 'object') await awaitable(apply(applyConstraints, apply(getVideoTracks, stream, [])[0], [wanted]));
      if (!audio || together) return stream;
      const other = await awaitable(capture(devices, 'audio', { audio: from(audio) }));
      apply(addTrack, stream, [apply(getAudioTracks, other, [])[0]]);
      return stream;
    } catch (error) {
      end(stream);
      throw error;
    }
  };

  // refusable is a call's options such that Chromium refuses: it does as soon as there is a
  // tab to pick, if only that of the page itself.
  const refusable = ([options, ...rest]) =>
    options?.preferCurrentTab || (options != null && typeof options !== 'object') ? [options, ...rest] : [{ __proto__: options ?? null, selfBrowserSurface: 'include' }];

  MediaDevices.prototype.getDisplayMedia = new Proxy(getDisplayMedia, {
    __proto__: null,
    apply: async (native, self, args) => {
      try {
        return await awaitable(apply(native, self, refusable(args)));
      } catch (error) {
        // Chromium says what is wrong with the call. Where nothing is, it refuses.
        if (!(error instanceof Exception) || error.message !== 'Permission denied by user') throw error;
      }
      const { video, audio } = args[0] ?? {};
      const answer = await ask('request', { video: true, audio: !!audio });
      if (!answer.id) throw new Exception('Not supported', 'NotSupportedError');
      if (answer.error) throw new Exception(answer.error.message, answer.error.name);
      try {
        return await awaitable(captured(self, answer, video));
      } finally {
        tell({ kind: 'begun', id: answer.id });
      }
    },
  });
}
