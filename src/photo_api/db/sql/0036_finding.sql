-- What photos are found by: text, and what their metadata say. Triggers keep it (0037), so that it is the same
-- for rows of this release, of the one before, and of those that were there.

-- Text as it is compared: NFKC, without regard to case, whatever the database's locale. `photos/search.py`
-- does the same with what is searched for.
CREATE FUNCTION search_form(text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    plain text;
BEGIN
    IF pg_catalog.octet_length($1) = pg_catalog.length($1) THEN
        RETURN pg_catalog.lower($1 COLLATE "C");
    END IF;
    plain := pg_catalog.lower(pg_catalog.normalize($1, 'NFKC') COLLATE "C");
    IF plain !~ '[\u00c0-\u058f\u1e00-\u1fff]' THEN
        RETURN plain;
    END IF;
    plain := pg_catalog.replace(pg_catalog.replace(plain, 'ß', 'ss'), 'ẞ', 'ss');
    IF plain ~ '[À-Þ]' THEN
        plain := pg_catalog.translate(plain,
            'ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞ',
            'àáâãäåæçèéêëìíîïðñòóôõöøùúûüýþ');
    END IF;
    IF plain ~ '[Ā-ɏ]' THEN
        plain := pg_catalog.translate(plain,
            'ĀĂĄĆĈĊČĎĐĒĔĖĘĚĜĞĠĢĤĦĨĪĬĮİĴĶĹĻĽŁŃŅŇŊŌŎŐŒŔŖŘŚŜŞŠŢŤŦŨŪŬŮŰŲŴŶŸŹŻŽƁƂƄƆƇƉƊƋƎƏƐƑƓƔƖƗƘƜƝƟƠƢƤ'
            'ƦƧƩƬƮƯƱƲƳƵƷƸƼǍǏǑǓǕǗǙǛǞǠǢǤǦǨǪǬǮǴǶǷǸǺǼǾȀȂȄȆȈȊȌȎȐȒȔȖȘȚȜȞȠȢȤȦȨȪȬȮȰȲȺȻȽȾɁɃɄɅɆɈɊɌɎ',
            'āăąćĉċčďđēĕėęěĝğġģĥħĩīĭįiĵķĺļľłńņňŋōŏőœŕŗřśŝşšţťŧũūŭůűųŵŷÿźżžɓƃƅɔƈɖɗƌǝəɛƒɠɣɩɨƙɯɲɵơƣƥ'
            'ʀƨʃƭʈưʊʋƴƶʒƹƽǎǐǒǔǖǘǚǜǟǡǣǥǧǩǫǭǯǵƕƿǹǻǽǿȁȃȅȇȉȋȍȏȑȓȕȗșțȝȟƞȣȥȧȩȫȭȯȱȳⱥȼƚⱦɂƀʉʌɇɉɋɍɏ');
    END IF;
    IF plain ~ '[Ͱ-Ϋς-Ͽ]' THEN
        plain := pg_catalog.translate(plain,
            'ͰͲͶͿΆΈΉΊΌΎΏΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩΪΫςϏϘϚϜϞϠϢϤϦϨϪϬϮϷϺϽϾϿ',
            'ͱͳͷϳάέήίόύώαβγδεζηθικλμνξοπρστυφχψωϊϋσϗϙϛϝϟϡϣϥϧϩϫϭϯϸϻͻͼͽ');
    END IF;
    IF plain ~ '[Ѐ-Я]' THEN
        plain := pg_catalog.translate(plain,
            'ЀЁЂЃЄЅІЇЈЉЊЋЌЍЎЏАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ',
            'ѐёђѓєѕіїјљњћќѝўџабвгдежзийклмнопрстуфхцчшщъыьэюя');
    END IF;
    IF plain ~ '[Ѡ-ԯ]' THEN
        plain := pg_catalog.translate(plain,
            'ѠѢѤѦѨѪѬѮѰѲѴѶѸѺѼѾҀҊҌҎҐҒҔҖҘҚҜҞҠҢҤҦҨҪҬҮҰҲҴҶҸҺҼҾӀӁӃӅӇӉӋӍӐӒӔӖӘӚӜӞӠӢӤӦӨӪӬӮӰӲӴӶӸӺӼӾԀԂԄԆԈԊԌԎ'
            'ԐԒԔԖԘԚԜԞԠԢԤԦԨԪԬԮ',
            'ѡѣѥѧѩѫѭѯѱѳѵѷѹѻѽѿҁҋҍҏґғҕҗҙқҝҟҡңҥҧҩҫҭүұҳҵҷҹһҽҿӏӂӄӆӈӊӌӎӑӓӕӗәӛӝӟӡӣӥӧөӫӭӯӱӳӵӷӹӻӽӿԁԃԅԇԉԋԍԏ'
            'ԑԓԕԗԙԛԝԟԡԣԥԧԩԫԭԯ');
    END IF;
    IF plain ~ '[Ա-Ֆ]' THEN
        plain := pg_catalog.translate(plain,
            'ԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՍՎՏՐՑՒՓՔՕՖ',
            'աբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆ');
    END IF;
    IF plain ~ '[Ḁ-ỿ]' THEN
        plain := pg_catalog.translate(plain,
            'ḀḂḄḆḈḊḌḎḐḒḔḖḘḚḜḞḠḢḤḦḨḪḬḮḰḲḴḶḸḺḼḾṀṂṄṆṈṊṌṎṐṒṔṖṘṚṜṞṠṢṤṦṨṪṬṮṰṲṴṶṸṺṼṾẀẂẄẆẈẊẌẎẐẒẔẠẢẤẦẨẪẬẮẰ'
            'ẲẴẶẸẺẼẾỀỂỄỆỈỊỌỎỐỒỔỖỘỚỜỞỠỢỤỦỨỪỬỮỰỲỴỶỸỺỼỾ',
            'ḁḃḅḇḉḋḍḏḑḓḕḗḙḛḝḟḡḣḥḧḩḫḭḯḱḳḵḷḹḻḽḿṁṃṅṇṉṋṍṏṑṓṕṗṙṛṝṟṡṣṥṧṩṫṭṯṱṳṵṷṹṻṽṿẁẃẅẇẉẋẍẏẑẓẕạảấầẩẫậắằ'
            'ẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹỻỽỿ');
    END IF;
    IF plain ~ '[ἀ-῿]' THEN
        plain := pg_catalog.translate(plain,
            'ἈἉἊἋἌἍἎἏἘἙἚἛἜἝἨἩἪἫἬἭἮἯἸἹἺἻἼἽἾἿὈὉὊὋὌὍὙὛὝὟὨὩὪὫὬὭὮὯᾸᾹᾺῈῊῘῙῚῨῩῪῬῸῺ',
            'ἀἁἂἃἄἅἆἇἐἑἒἓἔἕἠἡἢἣἤἥἦἧἰἱἲἳἴἵἶἷὀὁὂὃὄὅὑὓὕὗὠὡὢὣὤὥὦὧᾰᾱὰὲὴῐῑὶῠῡὺῥὸὼ');
    END IF;
    RETURN plain;
END $$;

CREATE FUNCTION search_key(owner bigint, gram text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (owner << 32) | (pg_catalog.hashtextextended(gram COLLATE "C", 0) & 4294967295)
$$;
COMMENT ON FUNCTION search_key IS
    'a gram of one owner, whose keys are neighbours: an upload writes to few pages of the index';

-- The keys of a text in `search_form`. Of what is written without spaces (Hangul, Han, kana, emoji) each
-- character and each pair, of other words each three characters, or all where there are fewer.
CREATE FUNCTION search_keys(owner bigint, form text) RETURNS bigint[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    run text[];
    grams text[] := '{}';
BEGIN
    FOR run IN SELECT pg_catalog.regexp_matches(form,
            '([\u1100-\u11ff\u2600-\u27bf\u2e80-\u2fff\u3041-\u318e\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff'
            '\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U0001f000-\U0003ffff]+)'
            '|([0-9a-z\u00aa\u00b5\u00ba\u00c0-\u10ff\u1200-\u1fff\u2c00-\u2dff\ua4d0-\ua95f\ua980-\uabff'
            '\ufb00-\ufdff\ufe70-\ufefc\U00010000-\U0001efff]+)', 'g') LOOP
        IF run[1] IS NOT NULL THEN
            FOR place IN 1..pg_catalog.length(run[1]) LOOP
                grams := grams || pg_catalog.substr(run[1], place, 1) || pg_catalog.substr(run[1], place, 2);
            END LOOP;
        ELSE
            FOR place IN 1..greatest(pg_catalog.length(run[2]) - 2, 1) LOOP
                grams := grams || pg_catalog.substr(run[2], place, 3);
            END LOOP;
        END IF;
    END LOOP;
    RETURN ARRAY(SELECT DISTINCT search_key(owner, gram) FROM pg_catalog.unnest(grams) gram);
END $$;

-- The first 2,000 characters of a description are searched: what one photo costs is bounded.
CREATE FUNCTION describe_photo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.camera := nullif(left(NEW.exif ->> 'camera', 255), '');
    NEW.latitude := NULL;
    NEW.longitude := NULL;
    IF jsonb_typeof(NEW.exif -> 'latitude') = 'number' AND jsonb_typeof(NEW.exif -> 'longitude') = 'number'
        AND abs((NEW.exif -> 'latitude')::numeric) <= 90 AND abs((NEW.exif -> 'longitude')::numeric) <= 180 THEN
        NEW.latitude := (NEW.exif -> 'latitude')::float8;
        NEW.longitude := (NEW.exif -> 'longitude')::float8;
    END IF;
    NEW.search_text := search_form(concat_ws(E'\n', NEW.title, NEW.original_filename, NEW.camera,
        left(NEW.description, 2000)));
    RETURN NEW;
END $$;

-- Beside `photos`, whose rows change for many reasons that are none to write twenty keys anew. Written when
-- the renditions are made or have failed, and with them the camera is known; before that, a search compares
-- the text of photos without a thumbnail.
CREATE TABLE photo_search (
    photo_id bigint PRIMARY KEY,
    owner_id bigint NOT NULL,
    keys bigint[] NOT NULL
);
COMMENT ON TABLE photo_search IS 'of each photo that is ready, once it was rendered, the search_keys() of its search_text';

CREATE FUNCTION keep_search_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> 'ready' THEN
        DELETE FROM photo_search WHERE photo_id = NEW.id;
    ELSIF NEW.renditions <> 'pending' THEN
        INSERT INTO photo_search (photo_id, owner_id, keys)
        VALUES (NEW.id, NEW.owner_id, search_keys(NEW.owner_id, NEW.search_text))
        ON CONFLICT (photo_id) DO UPDATE SET keys = excluded.keys WHERE photo_search.keys <> excluded.keys;
    ELSE
        UPDATE photo_search SET keys = search_keys(NEW.owner_id, NEW.search_text) WHERE photo_id = NEW.id;
    END IF;
    RETURN NULL;
END $$;

-- Candidates: each photo that is in no album is one, and whoever reads them looks at `album_photos` again.
-- Nobody has to lock a photo for it, then: two who take a photo out of its last two albums at once both
-- see the other's row as none. A candidate's date may be that of a moment ago.
CREATE TABLE photos_in_no_album (
    photo_id bigint PRIMARY KEY,
    owner_id bigint NOT NULL,
    sort_at timestamp NOT NULL
);
CREATE INDEX photos_in_no_album_by_date ON photos_in_no_album (owner_id, sort_at DESC, photo_id DESC);

CREATE FUNCTION look_for_album() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = 'ready' AND NOT EXISTS (SELECT FROM album_photos WHERE photo_id = NEW.id) THEN
        INSERT INTO photos_in_no_album (photo_id, owner_id, sort_at) VALUES (NEW.id, NEW.owner_id, NEW.sort_at)
        ON CONFLICT (photo_id) DO UPDATE SET sort_at = excluded.sort_at;
    ELSE
        DELETE FROM photos_in_no_album WHERE photo_id = NEW.id;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION have_an_album() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM photos_in_no_album WHERE photo_id = ANY (ARRAY(
        SELECT c.photo_id FROM photos_in_no_album c JOIN changed USING (photo_id)
        ORDER BY c.photo_id FOR UPDATE OF c));
    RETURN NULL;
END $$;

CREATE FUNCTION leave_an_album() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO photos_in_no_album (photo_id, owner_id, sort_at)
    SELECT p.id, p.owner_id, p.sort_at FROM (SELECT DISTINCT photo_id FROM changed) c
    JOIN photos p ON p.id = c.photo_id AND p.status = 'ready'
    WHERE NOT EXISTS (SELECT FROM album_photos m WHERE m.photo_id = p.id FOR KEY SHARE SKIP LOCKED)
    ORDER BY p.id ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE FUNCTION forget_photos() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM photo_search WHERE photo_id IN (SELECT id FROM changed);
    DELETE FROM photos_in_no_album WHERE photo_id IN (SELECT id FROM changed);
    RETURN NULL;
END $$;

-- Photos that were there before, some at a time, so that nobody waits for long.
CREATE PROCEDURE describe_photos() LANGUAGE plpgsql AS $$
DECLARE
    beyond bigint := 0;
BEGIN
    LOOP
        WITH batch AS (
            SELECT id FROM photos WHERE id > beyond AND status <> 'gone' AND search_text IS NULL
            ORDER BY id LIMIT 500 FOR NO KEY UPDATE
        ), described AS (
            UPDATE photos p SET title = p.title FROM batch WHERE p.id = batch.id RETURNING p.id
        )
        SELECT max(id) INTO beyond FROM described;
        EXIT WHEN beyond IS NULL;
        COMMIT;
    END LOOP;
END $$;
