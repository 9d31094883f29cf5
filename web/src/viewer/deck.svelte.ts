/**
 * PhotoSwipe over a list of photos that changes while one looks at them: photos come and go, and their
 * index with them. What is on the screen is named by its id.
 */

import PhotoSwipe from "photoswipe";
import { onChanged, type Change } from "../photos/changes";
import type { Shown } from "../timeline/shown";
import type { Photo, PhotoCache } from "./photo";
import { PREVIEW, Picture, isMoving, type Status } from "./picture";

/** Photos on either side that are made ready. */
const AROUND = 1;
/** Pictures that are kept on either side of the one that is shown. */
const KEPT = 2;
/** Milliseconds that somebody looks at a photo before a large screen gets more than the preview. */
const REST = 600;
/** How many times more pixels than a preview has a screen must want before it is worth the whole file. */
const COARSE = 1.4;
const STEP = 1.6;

type Slide = NonNullable<PhotoSwipe["currSlide"]>;

export interface DeckOptions {
  /** Where the slides are. */
  stage: HTMLElement;
  /** What the picture comes from, and goes to. */
  tile: (index: number) => HTMLElement | null | undefined;
  isCommand: (event: KeyboardEvent) => boolean;
  /** Asked for by a gesture, or since there is no photo left. */
  onclosing: () => void;
  onclosed: () => void;
}

export class Deck {
  index = $state(0);
  id = $state(0);
  photo = $state.raw<Photo | null>(null);
  status = $state<Status>("loading");
  full = $state<Picture["full"]>("none");
  zoomed = $state(false);
  /** Whether the controls are to be seen. */
  bare = $state(false);
  count = $state(0);

  private readonly pswp: PhotoSwipe;
  private readonly pictures = new Map<number, Picture>();
  private readonly unfollow: () => void;
  private timer = 0;
  private later = 0;
  private stale = false;
  private wanted = 0;
  /**
   * The photo on the screen is not in the list (any more): archived, or of another date that has not been loaded
   * yet. It stays, between those at its index and before, until somebody turns to another one.
   */
  private pinned = false;
  private readonly deleted = new Set<number>();
  private readonly leaving = new Set<number>();
  private closing = false;

  constructor(
    private readonly photos: Shown,
    index: number,
    private readonly cache: PhotoCache,
    private readonly options: DeckOptions,
  ) {
    this.index = index;
    this.id = photos.ids[index];
    this.count = photos.ids.length;
    this.pswp = new PhotoSwipe({
      dataSource: [],
      index,
      appendToEl: options.stage,
      bgOpacity: 1,
      loop: false,
      preload: [AROUND, AROUND],
      wheelToZoom: true,
      escKey: false,
      trapFocus: false,
      returnFocus: false,
      imageClickAction: "zoom",
      tapAction: () => (this.bare = !this.bare),
      getViewportSizeFn: () => ({ x: options.stage.clientWidth, y: options.stage.clientHeight }),
      // All controls are the page's own.
      ...{ close: false, zoom: false, arrowPrev: false, arrowNext: false, counter: false, preloader: false },
    });
    this.fill();
    this.follow();
    this.unfollow = onChanged((change) => this.changed(change));
    this.pswp.init();
    this.tidy();
  }

  next(): void {
    this.pswp.next();
  }
  previous(): void {
    this.pswp.prev();
  }
  /** Shows another photo, as this one is about to go; the next one that stays, or else the one before. */
  leave(): void {
    this.leaving.add(this.id);
    const stays = (index: number) => !this.leaving.has(this.idAt(index));
    let at = this.index + 1;
    while (at < this.count && !stays(at)) at++;
    if (at >= this.count) at = this.index - 1;
    while (at >= 0 && !stays(at)) at--;
    if (at >= 0) this.pswp.goTo(at);
  }
  /** It could not go, or is to come back. */
  stay(id: number): void {
    this.leaving.delete(id);
  }
  isLeaving(id: number): boolean {
    return this.leaving.has(id);
  }
  /** This photo comes back, and is shown as soon as it is there. */
  returnTo(id: number): void {
    this.wanted = id;
    this.sync();
  }
  zoom(by: 1 | -1): void {
    const slide = this.pswp.currSlide;
    slide?.zoomTo(slide.currZoomLevel * STEP ** by, undefined, this.pswp.options.zoomAnimationDuration);
  }
  toggleZoom(): void {
    this.pswp.toggleZoom();
  }
  /** The stage has another size. */
  resize(): void {
    this.pswp.updateSize();
  }
  retry(): void {
    const picture = this.pictures.get(this.id);
    if (picture?.status === "shown") void picture.look();
    else void picture?.load(true);
  }

  close(): void {
    this.closing = true;
    if (this.pswp.opener.isOpen) this.pswp.close();
  }

  /** To be called when the list of photos has changed. */
  sync(): void {
    if (this.closing) return;
    if (!this.pswp.opener.isOpen || this.pswp.mainScroll.isShifted()) {
      this.stale = true;
      clearTimeout(this.later);
      this.later = window.setTimeout(() => this.stale && this.sync(), REST);
      return;
    }
    this.stale = false;
    const at = this.place();
    if (at < 0) return this.options.onclosing();
    const { itemHolders } = this.pswp.mainScroll;
    const same = itemHolders.every(({ slide }, i) => (slide?.data.id ?? 0) === this.idAt(at - 1 + i));
    if (at !== this.index || !same) this.turn(at);
    else this.pswp.dispatch("change");
  }

  /** Where the photo is now that is to be shown; where it was, if it is gone; -1 if there is none. */
  private place(): number {
    const { ids } = this.photos;
    for (const id of [this.wanted, this.id]) {
      const found = id > 0 ? this.photos.find(id) : -1;
      if (found < 0) continue;
      if (id === this.wanted) this.wanted = 0;
      this.pinned = false;
      return found;
    }
    if (this.id === 0 || this.deleted.has(this.id)) {
      this.pinned = false;
      return Math.min(this.index, ids.length - 1);
    }
    if (!this.pinned) {
      this.pinned = true;
      void import("./seek")
        .then(({ seek }) => seek(this.photos, this.id, this.cache))
        .then((found) => found >= 0 && this.sync(), () => undefined);
    }
    return Math.min(this.index, ids.length);
  }

  /** 0: not known, or no such photo. */
  private idAt(index: number): number {
    const { ids } = this.photos;
    if (!this.pinned || index < this.index) return ids[index] ?? 0;
    return index === this.index ? this.id : (ids[index - 1] ?? 0);
  }

  private total(): number {
    return this.photos.ids.length + (this.pinned ? 1 : 0);
  }

  /** Shows the photo of this index, and its neighbours, whatever has been on the slides. */
  private turn(at: number): void {
    const { pswp } = this;
    this.index = at;
    for (const { content } of this.pictures.values()) if (content) pswp.contentLoader.removeByIndex(content.index);
    pswp.currIndex = pswp.potentialIndex = at;
    pswp.mainScroll.itemHolders.forEach((holder, i) => pswp.setContent(holder, at - 1 + i, true));
    pswp.currSlide = pswp.mainScroll.itemHolders[1].slide;
    pswp.currSlide?.setIsActive(true);
    pswp.contentLoader.updateLazy();
    pswp.dispatch("change");
  }

  /** What PhotoSwipe shows. */
  private fill(): void {
    const { pswp, photos } = this;
    pswp.addFilter("numItems", () => this.total());
    pswp.addFilter("itemData", (_, index) => ({ type: "photo", id: this.idAt(index), ...this.size(index) }));
    pswp.addFilter("useContentPlaceholder", () => true);
    pswp.addFilter("placeholderSrc", (source, content) =>
      content.slide?.isFirstSlide ? (photos.tiles.get(content.data.id)?.thumbnail ?? source) : source,
    );
    pswp.addFilter("isContentZoomable", (_, content) => this.pictures.get(content.data.id)?.status === "shown");
    pswp.addFilter("thumbEl", (_, __, index) => (this.options.tile(index) ?? undefined) as HTMLElement);
    // So that texts beside the photo can be selected.
    pswp.addFilter("preventPointerEvent", (prevent, event) => prevent && pswp.element!.contains(event.target as Node));
    pswp.on("contentLoad", (event) => {
      event.preventDefault();
      const picture = this.picture(event.content.data.id, event.content.index);
      picture.content = event.content;
      event.content.element = picture.element;
      event.content.state = "loading";
      if (picture.quick) event.content.onLoaded();
    });
  }

  private follow(): void {
    const { pswp } = this;
    pswp.on("change", () => this.moved());
    pswp.on("zoomPanUpdate", ({ slide }) => {
      this.zoomed = slide.currZoomLevel > slide.zoomLevels.initial * 1.01;
      if (this.zoomed && pswp.opener.isOpen) void this.pictures.get(slide.data.id)?.look();
    });
    pswp.on("slideDeactivate", ({ slide }) => this.pictures.get(slide.data.id)?.lookAway());
    pswp.on("openingAnimationEnd", () => {
      if (this.closing) return pswp.close();
      for (const { slide } of pswp.mainScroll.itemHolders) if (slide) this.resized(slide);
      this.sync();
    });
    pswp.on("close", () => {
      this.closing = true;
      this.options.onclosing();
    });
    pswp.on("destroy", () => {
      clearTimeout(this.timer);
      clearTimeout(this.later);
      this.unfollow();
      for (const picture of this.pictures.values()) picture.destroy();
      this.pictures.clear();
      this.options.onclosed();
    });
    pswp.on("keydown", (event) => {
      if (!this.options.isCommand(event.originalEvent)) event.preventDefault();
    });
  }

  /** PhotoSwipe's roles are for a dialog of its own, which this is within. */
  private tidy(): void {
    const { element, scrollWrap, mainScroll } = this.pswp;
    element?.removeAttribute("role");
    scrollWrap?.removeAttribute("aria-roledescription");
    for (const { el } of mainScroll.itemHolders) {
      el.removeAttribute("role");
      el.removeAttribute("aria-roledescription");
    }
  }

  private moved(): void {
    const { pswp, photos } = this;
    const id = this.idAt(pswp.currIndex);
    if (this.pinned && id !== this.id) {
      this.pinned = false;
      this.stale = true;
    }
    this.index = pswp.currIndex;
    this.id = id;
    this.count = this.total();
    photos.want(Math.max(0, this.index - KEPT), Math.min(photos.ids.length, this.index + KEPT + 1));
    this.prune();
    this.told(this.pictures.get(this.id));
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.rested(), REST);
    if (this.stale) queueMicrotask(() => this.sync());
  }

  private rested(): void {
    const picture = this.pictures.get(this.id);
    const slide = this.pswp.currSlide;
    if (!picture || !slide) return;
    const longer = Math.max(slide.width, slide.height) * slide.zoomLevels.initial * devicePixelRatio;
    if (longer > PREVIEW * COARSE || (picture.photo && isMoving(picture.photo))) void picture.look();
  }

  private picture(id: number, index: number): Picture {
    // Photos that are not known yet have a slide each, and nothing on it.
    const key = id > 0 ? id : -1 - index;
    let picture = this.pictures.get(key);
    if (!picture) {
      picture = new Picture(id, this.photos.tiles.get(id), this.cache, (one) => this.told(one));
      this.pictures.set(key, picture);
    }
    return picture;
  }

  private prune(): void {
    const near = new Set<number>();
    for (let i = this.index - KEPT; i <= this.index + KEPT; i++) near.add(this.idAt(i) || -1 - i);
    for (const [key, picture] of this.pictures) {
      if (near.has(key)) continue;
      if (picture.content) this.pswp.contentLoader.removeByIndex(picture.content.index);
      picture.destroy();
      this.pictures.delete(key);
    }
  }

  /** A picture has something to tell. */
  private told(picture: Picture | undefined): void {
    if (picture?.content?.slide) {
      if (picture.status === "shown" && picture.content.state === "loading") picture.content.onLoaded();
      this.resized(picture.content.slide);
    }
    if (picture && picture.id !== this.id) return;
    this.photo = picture?.photo ?? null;
    this.status = picture?.status ?? "loading";
    this.full = picture?.full ?? "none";
  }

  /** Before a photo is known its ratio is, mostly; its size decides how far one can look into it. */
  private size(index: number): { w: number; h: number } {
    const id = this.idAt(index);
    const known = this.cache.known(id) ?? this.photos.tiles.get(id);
    if (known?.width && known.height) return { w: known.width, h: known.height };
    const { geometry } = this.photos;
    const ratio = geometry && geometry.height[index] > 0 ? geometry.width[index] / geometry.height[index] : 4 / 3;
    return ratio > 1 ? { w: 4000, h: Math.round(4000 / ratio) } : { w: Math.round(4000 * ratio), h: 4000 };
  }

  private resized(slide: Slide): void {
    const photo = this.pictures.get(slide.data.id)?.photo;
    if (!photo?.width || !photo.height || !this.pswp.opener.isOpen) return;
    if (slide.width === photo.width && slide.height === photo.height) return;
    slide.width = slide.content.width = photo.width;
    slide.height = slide.content.height = photo.height;
    slide.resize();
  }

  /** Somebody did something to photos, here or in another tab. */
  private changed({ what, ids }: Change): void {
    for (const id of ids) {
      const picture = this.pictures.get(id);
      if (what === "delete" || what === "purge") this.deleted.add(id);
      if (what === "restore") this.deleted.delete(id);
      if (picture && (what === "edited" || what === "unknown" || what === "restore")) void picture.load(true);
      if (what === "favourite" || what === "unfavourite")
        this.change(id, (photo) => ({ ...photo, favourite: what === "favourite" }));
      if (what === "archive" || what === "unarchive")
        this.change(id, (photo) => ({ ...photo, archived: what === "archive" }));
    }
  }

  change(id: number, how: (photo: Photo) => Photo): void {
    const known = this.cache.known(id);
    if (known) this.put(how(known));
  }

  /** The photo is so now, or is believed to be. */
  put(photo: Photo): void {
    this.cache.put(photo);
    const picture = this.pictures.get(photo.id);
    if (!picture) return;
    picture.photo = photo;
    this.told(picture);
  }
}
