"""PyPI's config-client: reads an application's values with a token of OAuth 2 and prints what it found."""

import json
import sys

from config.auth import OAuth2
from config.spring import ConfigClient

address, tokens, name, profile, label, user, secret = sys.argv[1:]
oauth2 = OAuth2(access_token_uri=tokens, client_id=user, client_secret=secret)
client = ConfigClient(address=address, app_name=name, profile=profile, label=label, oauth2=oauth2)
client.get_config()
text = client.get_file("order/nginx.conf", headers=oauth2.authorization_header)
print(json.dumps({"max_lines": client.get("max_lines"), "pin": client.get("pin"), "file": text}))
