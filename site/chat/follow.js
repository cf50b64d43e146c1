// Keeps the end of a growing text in view until the reader scrolls away.

/** The distance from the end, in pixels, within which scrolling down follows the text again. */
const NEAR = 80;

/**
 * How long after a gesture away from the end a scroll doesn't count as a return, in milliseconds.
 */
const GESTURE = 150;

const UP = new Set(["ArrowUp", "PageUp", "Home"]);

/** Follows the end of the scrolling element `box`. `moved` runs after each scroll. */
export class Follower {
  constructor(box, moved) {
    Object.assign(this, { box, follows: true, top: box.scrollTop, left: -GESTURE });
    let finger = 0;
    const on = (name, act) => box.addEventListener(name, act, { passive: true });
    on("wheel", ({ deltaY }) => deltaY < 0 && this.leave());
    on("touchstart", ({ touches }) => (finger = touches[0].clientY));
    on("touchmove", ({ touches }) => {
      if (touches[0].clientY > finger) this.leave();
      finger = touches[0].clientY;
    });
    on("keydown", ({ key, shiftKey, target }) => {
      const isTyping = target.matches("input, textarea, select");
      if (!isTyping && (UP.has(key) || (key === " " && shiftKey))) this.leave();
    });
    on("scroll", () => {
      const { scrollTop } = box;
      const isRecent = performance.now() - this.left < GESTURE;
      // Text that shrinks also moves the box up, but not away from the end.
      if (scrollTop < this.top && !this.isAtEnd(2)) this.follows = false;
      else if (scrollTop > this.top && !isRecent && this.isAtEnd()) this.follows = true;
      this.top = scrollTop;
      moved();
    });
  }

  /** Called when the reader scrolls towards the beginning. */
  leave() {
    if (this.box.scrollTop <= 0) return;
    this.follows = false;
    this.left = performance.now();
  }

  isAtEnd(within = NEAR) {
    const { scrollHeight, scrollTop, clientHeight } = this.box;
    return scrollHeight - scrollTop - clientHeight < within;
  }

  /** Scrolls to the end if the reader follows the text or `surely` is true. */
  toEnd(surely = false) {
    if (surely) this.follows = true;
    if (this.follows) this.box.scrollTop = this.box.scrollHeight;
    this.top = this.box.scrollTop;
  }
}
