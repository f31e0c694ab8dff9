"""German claims."""

HEDGES = (
    r"wenn|falls|sobald|nachdem|bevor|bis|ob|nicht|nie|noch\s+nicht|kein\w*|könnte\w*|kann|können|würde\w*|soll|sollen|sollte\w*"
    r"|möchten|darf|dürfte|habe\s+ich\s+(?=\w+\?)"
)

_ICH_HABE = r"(?:ich\s+habe?|habe\s+ich)(?:\s+\S+){0,6}?"
_IST = r"(?:ist|sind|wurde|wurden)(?:\s+\S+){0,4}?"

CLAIMS = {
    "hang_up": r"ich\s+(?:lege\s+(?:jetzt|nun)?\s*auf|beende\s+(?:jetzt\s+|nun\s+)?(?:das|den|unser)\s+(?:gespräch|anruf|telefonat))"
    r"|ich\s+werde\s+(?:jetzt\s+|nun\s+)?(?:auflegen|(?:das|den)\s+(?:gespräch|anruf)\s+beenden)",
    "transfer": r"ich\s+(?:verbinde|stelle|leite)\s+sie(?:\s+\S+){0,4}?(?:\s+(?:durch|weiter))?|ich\s+werde\s+sie(?:\s+\S+){0,4}?\s+(?:verbinden|durchstellen|weiterleiten)",
    "look_up": r"(?:ich\s+(?:schaue?|sehe|prüfe|überprüfe)(?:\s+\S+){0,3}?(?:\s+nach)?|ich\s+werde(?:\s+\S+){0,3}?\s+(?:nachsehen|nachschauen|prüfen)|lassen\s+sie\s+mich(?:\s+\S+){0,3}?\s+(?:nachsehen|nachschauen|prüfen|schauen))",
    "booked": rf"{_ICH_HABE}\s+(?:gebucht|reserviert|eingetragen|vereinbart)|{_IST}\s+(?:gebucht|reserviert|eingetragen|bestätigt)",
    "sent": rf"{_ICH_HABE}\s+(?:geschickt|gesendet|verschickt|versendet|gemailt)|{_IST}\s+(?:verschickt|gesendet|versendet)",
    "cancelled": rf"{_ICH_HABE}\s+(?:storniert|abgesagt|gelöscht)|{_IST}\s+(?:storniert|abgesagt)",
    "changed": rf"{_ICH_HABE}\s+(?:geändert|verschoben|aktualisiert|umgebucht)|{_IST}\s+(?:geändert|verschoben|umgebucht)",
    "ordered": rf"{_ICH_HABE}\s+bestellt|{_IST}\s+bestellt",
    "handed_on": rf"{_ICH_HABE}\s+(?:beauftragt|weitergegeben|angestoßen)",
}

FAREWELLS = r"auf\s+wiederh(?:ö|oe)ren|auf\s+wiedersehen|tsch(?:ü|ue)ss?|schönen\s+(?:tag|abend)\s+noch"
