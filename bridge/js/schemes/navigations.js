// Sends navigations to custom schemes to the URLs that stand for them. It runs in
// an isolated world, in every frame.
({ wire }) => {
  navigation.addEventListener('navigate', (event) => {
    const url = wire(event.destination.url);
    if (!url || !event.cancelable) return;
    event.preventDefault();
    if (event.formData) {
      return post(url, event.formData);
    }
    event.navigationType === 'replace' ? location.replace(url) : location.assign(url);
  });

  const post = (url, data) => {
    const form = document.createElement('form');
    Object.assign(form, { method: 'post', action: url, hidden: true });
    for (const [name, value] of data) {
      const input = Object.assign(document.createElement('input'), { name });
      if (typeof value === 'string') {
        Object.assign(input, { type: 'hidden', value });
      } else {
        const files = new DataTransfer();
        files.items.add(value);
        Object.assign(input, { type: 'file', files: files.files });
      }
      form.append(input);
    }
    document.documentElement.append(form);
    HTMLFormElement.prototype.submit.call(form);
    form.remove();
  };
}
