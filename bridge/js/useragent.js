// Gives a worker the user agent, as a string, that Chromium's override gives its requests alone.
(userAgent) => {
  const replace = (name, value) => {
    const own = Object.getOwnPropertyDescriptor(WorkerNavigator.prototype, name);
    const {get} = {get() { own.get.call(this); return value; }};
    Object.defineProperty(WorkerNavigator.prototype, name, {...own, get});
  };
  replace('userAgent', userAgent);
  replace('appVersion', userAgent.replace(/^Mozilla\//, ''));
}
