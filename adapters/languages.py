"""The languages that transcribers know, by their ISO 639-1 codes and by the English names that replies use."""

import re

_LISTED = (
    "af=afrikaans am=amharic ar=arabic as=assamese az=azerbaijani ba=bashkir be=belarusian bg=bulgarian "
    "bn=bengali bo=tibetan br=breton bs=bosnian ca=catalan cs=czech cy=welsh da=danish de=german el=greek "
    "en=english es=spanish et=estonian eu=basque fa=persian fi=finnish fo=faroese fr=french gl=galician "
    "gu=gujarati ha=hausa haw=hawaiian he=hebrew hi=hindi hr=croatian ht=haitian_creole hu=hungarian hy=armenian "
    "id=indonesian is=icelandic it=italian ja=japanese jw=javanese ka=georgian kk=kazakh km=khmer kn=kannada "
    "ko=korean la=latin lb=luxembourgish ln=lingala lo=lao lt=lithuanian lv=latvian mg=malagasy mi=maori "
    "mk=macedonian ml=malayalam mn=mongolian mr=marathi ms=malay mt=maltese my=myanmar ne=nepali nl=dutch "
    "nn=nynorsk no=norwegian oc=occitan pa=punjabi pl=polish ps=pashto pt=portuguese ro=romanian ru=russian "
    "sa=sanskrit sd=sindhi si=sinhala sk=slovak sl=slovenian sn=shona so=somali sq=albanian sr=serbian "
    "su=sundanese sv=swedish sw=swahili ta=tamil te=telugu tg=tajik th=thai tk=turkmen tl=tagalog tr=turkish "
    "tt=tatar uk=ukrainian ur=urdu uz=uzbek vi=vietnamese yi=yiddish yo=yoruba yue=cantonese zh=chinese "
)
NAMES = {code: name.replace("_", " ") for code, name in (pair.split("=") for pair in _LISTED.split())}
"""Code → name."""

_CODES = {name: code for code, name in NAMES.items()}
_OTHERS = {"jv": "jw", "nb": "no", "fil": "tl", "iw": "he", "cmn": "zh", "in": "id"}
_PLACE = re.compile(r"[-_]")


def code_of(word: str) -> str | None:
    """The code of a language: of a code, with or without a place behind it (`pt-BR`), or of a name."""
    plain = word.strip().lower()
    if plain in _CODES:
        return _CODES[plain]
    code = _PLACE.split(plain)[0]
    code = _OTHERS.get(code, code)
    return code if code in NAMES else None


def name_of(word: str) -> str:
    """The English name of a language, in small letters; a word that is none known stays as it is."""
    code = code_of(word)
    return NAMES[code] if code else word
