"""``GET /v1/models`` and ``GET /v1/models/{id}``, in the shape of the client's dialect."""

from gateway.dialects import anthropic_models, openai_models
from gateway.request import Reply, Request
from gateway.targets import Targets


class Models:
    """What every configured provider has told of its models."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    async def list(self, request: Request) -> Reply:
        """Every model; of the paging dialect one page."""
        rows = self._targets.index.listing()
        if anthropic_models.is_asked_for(request.call.headers):
            query = request.query()
            limit = query.get("limit", str(anthropic_models.DEFAULT_PAGE))
            page = anthropic_models.model_list(
                rows,
                int(limit) if limit.isascii() and limit.isdigit() and len(limit) < 9 else 0,
                query.get("before_id"),
                query.get("after_id"),
            )
            return Reply(200, page)
        return Reply(200, openai_models.model_list(rows))

    async def get(self, request: Request) -> Reply:
        """One model. Raises ``ModelNotFound``."""
        index = self._targets.index
        requested = request.argument()
        found = index.find(requested)
        if found is None:
            raise index.unknown(requested)
        is_paging = anthropic_models.is_asked_for(request.call.headers)
        write = anthropic_models.one_model if is_paging else openai_models.one_model
        return Reply(200, write(requested, *found))
