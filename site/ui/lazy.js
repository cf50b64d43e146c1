// Modules that are loaded when they are first needed.

/** How long a module that could not be loaded is not requested again, in milliseconds. */
const PAUSE = 5000;

/**
 * A module that `load` imports. `module` is null until it is there, and `read()` requests it and
 * resolves with it, or with null if it can't be loaded.
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
