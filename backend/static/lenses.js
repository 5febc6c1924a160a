// The lenses that rank the videos, as the server has written them into the page.

export const LENSES = JSON.parse(document.getElementById("lenses").textContent);

// It is no lens, but a ranking as they are, where a trained model takes part.
const LEARNED = { name: "learned", label: "Learned", about: "what people watch next", sparse: true };
const BY_NAME = new Map([...LENSES, LEARNED].map((lens) => [lens.name, lens]));

/** How much each ranking counts where nobody says anything else. */
export const DEFAULT_WEIGHTS = Object.fromEntries(LENSES.map(({ name, weight }) => [name, weight]));

/** "by the meaning of the title" */
export const meaningOf = (name) => `by ${BY_NAME.get(name).about}`;
export const labelOf = (name) => BY_NAME.get(name).label;
/** "similarity 0.87"; the scores of a sparse lens have no bound, so their fractions say less. */
export const scored = (name, score) =>
  (BY_NAME.get(name).sparse ? `score ${score.toFixed(1)}` : `similarity ${score.toFixed(2)}`);
