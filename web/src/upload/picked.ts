/** Files that somebody dropped, pasted or picked. Folders are walked as their files are wanted. */

export interface Picked {
  name: string;
  /** Folders from the dropped one on, such as "2024/Jeju"; empty for a single file. */
  folder: string;
  /** Null where the system would not read it, or a folder of that name. */
  file: File | null;
}

export type Picks = AsyncIterable<Picked> | Iterable<Picked>;

const DEEPEST = 32;

/** Whether something from outside the page is dragged that could be files. */
export function hasFiles(data: DataTransfer | null): data is DataTransfer {
  return data !== null && data.types.includes("Files");
}

/** To be called while the event is handled: later, a drop has nothing any more. */
export function fromDrop(data: DataTransfer): Picks {
  const taken = [...data.items]
    .filter((item) => item.kind === "file")
    .map((item) => item.webkitGetAsEntry() ?? item.getAsFile())
    .filter((one) => one !== null);
  return walkAll(taken);
}

/** `input` may be emptied afterwards: the files are taken at once. */
export function fromInput(input: HTMLInputElement): Picks {
  return lazily([...(input.files ?? [])]);
}

export function fromPaste(data: DataTransfer): Picks {
  return lazily([...data.files]);
}

function* lazily(files: File[]): Generator<Picked> {
  for (const file of files) {
    const path = file.webkitRelativePath;
    yield { name: file.name, file, folder: path ? path.slice(0, path.lastIndexOf("/")) : "" };
  }
}

async function* walkAll(taken: (FileSystemEntry | File)[]): AsyncGenerator<Picked> {
  for (const one of taken) {
    if (one instanceof File) yield { name: one.name, file: one, folder: "" };
    else yield* walk(one, "", 0);
  }
}

async function* walk(entry: FileSystemEntry, folder: string, depth: number): AsyncGenerator<Picked> {
  const { name } = entry;
  if (entry.isFile) {
    yield { name, folder, file: await fileOf(entry as FileSystemFileEntry) };
    return;
  }
  if (depth === DEEPEST || (name.startsWith(".") && depth > 0)) return;
  const inside = folder ? `${folder}/${name}` : name;
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  // A reader gives about 100 entries at a time, and none when there are no more.
  for (;;) {
    const some = await entriesOf(reader);
    if (some === null) yield { name, folder, file: null };
    if (some === null || some.length === 0) return;
    for (const one of some) yield* walk(one, inside, depth + 1);
  }
}

function fileOf(entry: FileSystemFileEntry): Promise<File | null> {
  return new Promise((resolve) => entry.file(resolve, () => resolve(null)));
}

function entriesOf(reader: FileSystemDirectoryReader): Promise<FileSystemEntry[] | null> {
  return new Promise((resolve) => reader.readEntries(resolve, () => resolve(null)));
}
