// Pictures to search by: chosen, dropped or pasted. They stay in this tab; the address holds a name.

import { byId } from "./dom.js";

// What the server reads; anything else that the browser can draw is drawn and sent as JPEG.
const SENT_AS_IS = new Set(["image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp"]);
const LARGE_BYTES = 4_000_000;
const LONGEST_SIDE = 1600;
const KEPT_CHARACTERS = 2_000_000;
const STORED = "twinlens-picture-";

export class Pictures {
  #known = new Map();

  /** `onTake` is called with the name of a picture that someone gave, `onRefuse` with why not. */
  constructor({ onTake, onRefuse }) {
    const file = byId("file");
    const take = async (files, otherwise) => {
      const chosen = [...(files ?? [])].find(isPicture);
      if (!chosen) return otherwise && onRefuse(otherwise);
      try {
        onTake(await this.#keep(await fit(chosen)));
      } catch {
        onRefuse("This picture can't be read. Try a JPEG, PNG or WebP file.");
      }
    };
    byId("choose").addEventListener("click", () => file.click());
    file.addEventListener("change", async () => {
      await take(file.files, "That is not a picture.");
      file.value = "";
    });
    addEventListener("paste", (event) => {
      if (!event.clipboardData || isText(event.clipboardData)) return;
      // The name of a copied file is not to be typed into the search box as well.
      if ([...event.clipboardData.files].some(isPicture)) event.preventDefault();
      take(event.clipboardData.files);
    });
    const drop = byId("drop");
    const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    addEventListener("dragover", (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
      drop.hidden = false;
    });
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) drop.hidden = true;
    });
    addEventListener("drop", (event) => {
      drop.hidden = true;
      if (!carriesFiles(event)) return;
      event.preventDefault();
      take(event.dataTransfer.files, "That is not a picture.");
    });
  }

  /** The picture of this name as `{ file, url }`, or undefined where it never was in this tab. */
  get(name) {
    if (name && !this.#known.has(name)) {
      const file = stored(name);
      if (file) this.#known.set(name, { file, url: URL.createObjectURL(file) });
    }
    return this.#known.get(name);
  }

  async #keep(file) {
    const name = [...crypto.getRandomValues(new Uint8Array(6))]
      .map((byte) => byte.toString(16).padStart(2, "0")).join("");
    this.#known.set(name, { file, url: URL.createObjectURL(file) });
    await store(name, file);
    return name;
  }
}

const isPicture = (file) => file.type.startsWith("image/");

/**
 * Whether what is pasted is words: cells of a spreadsheet come with a picture of them. A copied file
 * may come with text, too: its own name.
 */
function isText(clipboard) {
  const text = clipboard.getData("text/plain").trim();
  return text !== "" && ![...clipboard.files].some(({ name }) => name && text.endsWith(name));
}

/** The file as the server takes it: of a format it knows, and no larger than is of use. */
async function fit(file) {
  if (SENT_AS_IS.has(file.type) && file.size <= LARGE_BYTES) return file;
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const brush = canvas.getContext("2d");
  brush.fillStyle = "#fff";
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("not drawn"))), "image/jpeg", 0.92);
  });
}

/** For a reload of this tab, where there is room. */
async function store(name, file) {
  const text = await new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => resolve("");
    reader.readAsDataURL(file);
  });
  if (!text || text.length > KEPT_CHARACTERS) return;
  try {
    for (const key of Object.keys(sessionStorage)) {
      if (key.startsWith(STORED)) sessionStorage.removeItem(key);
    }
    sessionStorage.setItem(STORED + name, text);
  } catch {
    // Full, or switched off: after a reload the page will ask for the picture again.
  }
}

function stored(name) {
  try {
    const found = /^data:([^;,]+);base64,(.*)$/.exec(sessionStorage.getItem(STORED + name) ?? "");
    if (!found) return undefined;
    const bytes = Uint8Array.from(atob(found[2]), (letter) => letter.charCodeAt(0));
    return new Blob([bytes], { type: found[1] });
  } catch {
    return undefined;
  }
}
