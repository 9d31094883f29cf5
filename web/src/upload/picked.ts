/** Files that somebody dropped, pasted or picked, folders walked one after the other as they are read. */

export interface Picked {
  file: File;
  /** Folders from the dropped one on, such as "2024/Jeju"; empty for a single file. */
  folder: string;
}

const IMAGE = /\.(jpe?g|png|gif|webp|heic|heif|avif)$/i;
const DEEPEST = 32;

/** Whether the API could take it; its bytes decide in the end. */
export function mayBeImage(file: File): boolean {
  return IMAGE.test(file.name) || file.type.startsWith("image/");
}

export async function* fromDrop(data: DataTransfer): AsyncGenerator<Picked> {
  // Entries are there during the event alone, so all are taken before anything is awaited.
  const entries = [...data.items]
    .filter((item) => item.kind === "file")
    .map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }));
  for (const { entry, file } of entries) {
    if (entry) yield* walk(entry, "", 0);
    else if (file) yield { file, folder: "" };
  }
}

export async function* fromList(files: Iterable<File>): AsyncGenerator<Picked> {
  for (const file of files) {
    const path = file.webkitRelativePath;
    yield { file, folder: path ? path.slice(0, path.lastIndexOf("/")) : "" };
  }
}

async function* walk(entry: FileSystemEntry, folder: string, depth: number): AsyncGenerator<Picked> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    yield { file, folder };
    return;
  }
  if (depth === DEEPEST || entry.name.startsWith(".")) return;
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const inside = folder ? `${folder}/${entry.name}` : entry.name;
  // A reader gives about 100 entries at a time, and none when there are no more.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const one of some) yield* walk(one, inside, depth + 1);
  }
}
