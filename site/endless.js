// Lists that go on when their end comes into view.

/** How far below the part that is shown the end of a list counts as in view. */
const NEAR = "300px";

/** Calls `act` each time when `element` comes into view. `again()` of the result looks again. */
export function whenSeen(element, act) {
  const options = { rootMargin: NEAR, scrollMargin: NEAR };
  const observer = new IntersectionObserver((entries) => {
    if (entries.at(-1).isIntersecting) act();
  }, options);
  observer.observe(element);
  return {
    again() {
      observer.unobserve(element);
      observer.observe(element);
    },
  };
}
