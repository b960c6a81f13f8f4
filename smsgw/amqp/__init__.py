"""The wire to a broker: AMQP 0-9-1 with RabbitMQ's extensions, a thin layer over txAMQP.

``docs/design/broker.md`` says what of txAMQP is used, and why there is a layer.
"""
