"""Spanish claims."""

HEDGES = (
    r"si|cuando|una\s+vez\s+que|después\s+de|antes\s+de|hasta\s+que|no|nunca|todavía|aún\s+no|podría|puedo|podemos|debería"
    r"|quiere|quisiera|desea|le\s+gustaría"
)

_HE = r"(?:ya\s+)?(?:le\s+|te\s+|se\s+|lo\s+|la\s+|les\s+)*(?:he|hemos)(?:\s+(?:ya|acabado\s+de))*"
_ESTA = r"(?:ha\s+sido|está|queda|ya\s+está|se\s+ha)"

CLAIMS = {
    "hang_up": r"(?:voy\s+a|ahora\s+voy\s+a)\s+(?:colgar|terminar\s+la\s+llamada|finalizar\s+la\s+llamada)"
    r"|(?:cuelgo|termino\s+la\s+llamada|finalizo\s+la\s+llamada)(?:\s+ahora)?",
    "transfer": r"(?:le|lo|la|te)\s+(?:paso|transfiero|comunico|conecto)(?:\s+(?:ahora|con|a))"
    r"|(?:le|lo|la|te)\s+(?:estoy|voy\s+a)\s+(?:transfiriendo|pasando|transferir|pasar|comunicar)|voy\s+a\s+(?:transferir|pasar|comunicar)(?:le|lo|la|te)",
    "look_up": r"(?:déjeme|déjame|permítame|permíteme)\s+(?:ver|comprobar|consultar|revisar|verificar)"
    r"|(?:voy\s+a|estoy)\s+(?:comprobar|consultar|revisar|verificar|comprobando|consultando|revisando|verificando)",
    "booked": rf"{_HE}\s+(?:reservado|agendado|programado)|{_ESTA}\s+(?:reservad[oa]|agendad[oa]|confirmad[oa]|programad[oa])",
    "sent": rf"{_HE}\s+enviado|{_ESTA}\s+enviad[oa]",
    "cancelled": rf"{_HE}\s+(?:cancelado|anulado)|{_ESTA}\s+(?:cancelad[oa]|anulad[oa])",
    "changed": rf"{_HE}\s+(?:cambiado|actualizado|modificado)|{_ESTA}\s+(?:cambiad[oa]|actualizad[oa]|modificad[oa])",
    "ordered": rf"{_HE}\s+(?:pedido|encargado)",
    "handed_on": rf"{_HE}\s+(?:encargado|puesto\s+en\s+marcha)",
}

FAREWELLS = r"adi[oó]s|hasta\s+luego|que\s+tenga\s+un\s+buen\s+día"
