// Modules that are loaded when they are first needed.

/** How long a module isn't requested again after a failure, in milliseconds. */
const PAUSE = 5000;

/**
 * A module that `load` imports. `module` is null until the module is loaded. `read()` requests it
 * and resolves with the module, or with null if it can't be loaded.
 */
export function lazy(load) {
  let reading = null;
  const failed = () => {
    setTimeout(() => (reading = null), PAUSE);
    return null;
  };
  const self = {
    module: null,
    read: () => (reading ??= load().then((module) => (self.module = module), failed)),
  };
  return self;
}
