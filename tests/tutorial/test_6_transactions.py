"""A task that exists exactly if your own transaction commits."""

from __future__ import annotations

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import orm

import tenure


@tenure.task
def confirm(order_id: int) -> str:
    return f"order {order_id} is confirmed"


class Base(orm.DeclarativeBase):
    """Tables of yours."""


class Order(Base):
    """One of them."""

    __tablename__ = "orders"

    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)


def test_an_order_and_its_task_are_stored_together(postgres_url: str) -> None:
    with tenure.Client(postgres_url) as client, tenure.Worker(client):
        with psycopg.connect(postgres_url) as connection:
            connection.execute("CREATE TABLE orders (id integer PRIMARY KEY)")
            connection.execute("INSERT INTO orders VALUES (1)")
            handle = client.within(connection).enqueue(confirm, 1)
            # Nobody sees either of them yet.
            assert client.find() == []

        assert handle.result(timeout=30) == "order 1 is confirmed"


def test_if_the_order_fails_there_is_no_task(postgres_url: str) -> None:
    def place_order(client: tenure.Client) -> None:
        with psycopg.connect(postgres_url) as connection:
            client.within(connection).enqueue(confirm, 1)
            raise RuntimeError("out of tea")

    with tenure.Client(postgres_url) as client:
        with pytest.raises(RuntimeError, match="out of tea"):
            place_order(client)

        assert client.find() == []


def test_in_a_session_of_sqlalchemy_no_client_is_needed(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    Base.metadata.create_all(engine)

    with orm.Session(engine) as session:
        order = Order(id=7)
        session.add(order)
        session.flush()
        task_id = tenure.enqueue_on(session, confirm.call(order.id))
        session.commit()
    engine.dispose()

    with tenure.Client(postgres_url) as client, tenure.Worker(client):
        assert client.result(task_id, timeout=30) == b'"order 7 is confirmed"'
