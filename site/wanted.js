// The address that was asked for before the user had to sign in.

export const wanted = (() => {
  let hash = null;
  return {
    keep(place) {
      hash =
        place && !/^#\/?(sign-in|register|reset-password|verify-email)/.test(place) ? place : null;
    },
    take() {
      const place = hash;
      hash = null;
      return place;
    },
  };
})();
