"""A second, independent DynamoDB: moto's, with the ledger's table made as a person would make it."""

import uuid

import boto3

from . import moto

class DynamoDb:
    """The server, and its client. It answers one call at a time: moto's threads would interleave the check of a condition with another call's write,
    which DynamoDB never does within an item."""

    def __init__(self):
        self.server, self.url = moto.start(threaded=False)
        self.client = boto3.client("dynamodb", endpoint_url=self.url, **moto.AWS)

    def table(self) -> str:
        """A new, empty table for a ledger."""
        name = f"ledger-{uuid.uuid4().hex[:8]}"
        key = lambda name, kind: {"AttributeName": name, "KeyType": kind}  # noqa: E731
        self.client.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": column, "AttributeType": "N" if column == "due" else "S"} for column in ("pk", "sk", "lane", "due")
            ],
            KeySchema=[key("pk", "HASH"), key("sk", "RANGE")],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "due",
                    "KeySchema": [key("lane", "HASH"), key("due", "RANGE")],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ],
        )
        return name

    def ledger(self, table: str) -> dict:
        """`limits.ledger` of a gateway that shares it."""
        return {"table": table, "endpoint": self.url}

    def refused_conditions_show_the_item(self) -> bool:
        """`ReturnValuesOnConditionCheckFailure`, by which a refusal says where the limit stands."""
        table = self.table()
        key = {"pk": {"S": "a"}, "sk": {"S": "b"}}
        self.client.put_item(TableName=table, Item=key | {"n": {"N": "3"}})
        try:
            self.client.update_item(
                TableName=table,
                Key=key,
                UpdateExpression="SET n = :n",
                ConditionExpression="n < :n",
                ExpressionAttributeValues={":n": {"N": "1"}},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self.client.exceptions.ConditionalCheckFailedException as refused:
            return refused.response.get("Item", {}).get("n") == {"N": "3"}
        return False

    def stop(self) -> None:
        self.server.stop()
